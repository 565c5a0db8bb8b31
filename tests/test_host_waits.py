"""One training step of every part of the package on an emulated CUDA device.

No step mixes devices, its losses are those of the CPU, and it makes the host wait at most as often
as it says here. A case is a model in training mode and a batch as the loader hands it over; to add
one, call :func:`step` and say which waits it may have.
"""

import copy
import json

import pytest
import torch
from helpers.decoders import DECODERS as DECODER_TABLE
from helpers.decoders import ENCODERS
from helpers.emulated_cuda import emulated_cuda, on_cuda
from mmengine.dataset import pseudo_collate

from mmocr_da.models.layers import convert_batch_norm
from mmocr_da.registry import MODELS


def step(model, batch):
    """``(waits of the package, waits of its hosts)`` of one step, by line and operator."""
    torch.manual_seed(0)
    reference = losses(copy.deepcopy(model), batch)
    with emulated_cuda() as record:
        torch.manual_seed(0)
        found = losses(on_cuda(model), batch)
        ours, all_waits = record.waits('mmocr_da'), record.waits()
        found = {name: value.cpu() for name, value in found.items()}
    for name, value in reference.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)
    assert found.keys() == reference.keys()
    hosts = {line: n - ours.get(line, 0) for line, n in all_waits.items() if n > ours.get(line, 0)}
    return ours, hosts


def losses(model, batch):
    """All that MMEngine logs of a step, after its backward pass."""
    data = model.data_preprocessor(copy.deepcopy(batch), True)
    total, log = model.parse_losses(model(**data, mode='loss'))
    total.backward()
    return {name: value.detach() for name, value in log.items()}


@pytest.fixture
def images(sample):
    """``images(texts, targets)``: a batch as it was loaded, sources first; one image is padded."""

    def make(texts=('12', '345'), targets=2):
        samples = [sample(t, valid_ratio=r) for t, r in zip(texts, (1.0, 0.5, 1.0))]
        samples += [sample(domain='target', valid_ratio=r) for r in (1.0, 0.5)[:targets]]
        pixels = torch.randint(
            0,
            256,
            (len(samples), 1, 16, 32),
            dtype=torch.uint8,
            generator=torch.Generator().manual_seed(1),
        )
        return dict(inputs=list(pixels), data_samples=samples)

    return make


@pytest.fixture
def decoders(recognizer_cfg, digits_dictionary):
    """Configs of the decoders whose characters can be tapped, and of what is before them."""
    aster = recognizer_cfg()['decoder']
    ctc = dict(
        in_channels=16,
        module_loss=dict(type='CTCModuleLoss', zero_infinity=True),
        postprocessor=dict(type='CTCPostProcessor'),
        dictionary={
            **digits_dictionary,
            **dict.fromkeys(('with_start', 'with_end', 'same_start_end'), False),
        },
    )
    as_map = dict(
        type='mmocr_da.BiLSTMEncoder', in_channels=16, hidden_size=8, out_channels=16, as_map=True
    )
    own = ('max_seq_len', 'module_loss', 'postprocessor', 'dictionary')
    others = {
        kind: dict(decoder={**{k: aster[k] for k in own}, 'type': kind, **DECODER_TABLE[kind]})
        | ({'encoder': ENCODERS[kind]} if kind in ENCODERS else {})
        for kind in OTHERS
    }
    return copy.deepcopy(others) | {
        'ASTER': dict(decoder=aster),
        'attention': dict(decoder=dict(aster, type='mmocr_da.AttentionDecoder')),
        'LSTM': dict(decoder=dict(aster, type='mmocr_da.AttentionDecoder', cell='lstm')),
        'CRNN': dict(encoder=None, decoder=dict(ctc, type='CRNNDecoder')),
        'CRNN with LSTMs': dict(encoder=None, decoder=dict(ctc, type='CRNNDecoder', rnn_flag=True)),
        'SVTR': dict(encoder=as_map, decoder=dict(ctc, type='SVTRDecoder')),
        'characters': dict(
            encoder=None,
            decoder=dict(
                type='mmocr_da.CharacterDecoder',
                in_channels=16,
                module_loss=dict(type='CEModuleLoss', pad_with='none', ignore_char=-1),
                postprocessor=dict(type='AttentionPostprocessor'),
                dictionary=dict(type='Dictionary', dict_file=digits_dictionary['dict_file']),
            ),
        ),
    }


GLOBAL = dict(type='mmocr_da.GlobalAlignment', in_channels=16)
LOCAL = dict(type='mmocr_da.LocalAlignment', in_channels=16, threshold=0.0)
SYMNET = dict(type='mmocr_da.SymNetHead')
CONFUSION = dict(type='mmocr_da.DomainConfusion', in_channels=16)
ENTROPY = dict(type='mmocr_da.EntropyMinimization')
#: Objectives, and how often they wait: those that pick single steps ask which ones these are.
OBJECTIVES = {
    'none': ([], 0),
    'global': ([GLOBAL], 0),
    'global by position': ([dict(GLOBAL, pooling='position')], 0),
    'global, whole map': ([dict(GLOBAL, in_channels=16 * 8, pooling='flatten')], 0),
    'local': ([LOCAL], 0),
    'local by character': ([dict(LOCAL, average='character')], 0),
    'ASSDA': ([GLOBAL, LOCAL], 0),
    'SymNet': ([SYMNET], 1),
    'SymNet by domain': ([dict(SYMNET, confusion='domain', threshold=0.1)], 1),
    'SymNet by reversal': (
        [dict(SYMNET, confusion='reversal', predict_with='source', task_target=False)],
        1,
    ),
    'confusion': ([CONFUSION], 0),
    'entropy': ([ENTROPY], 1),
    'all': ([GLOBAL, LOCAL, SYMNET, CONFUSION, ENTROPY], 2),
}
#: How often MMOCR's loss makes the host wait: torch's CTC copies lengths, forward and backward.
CE, CTC = 0, 8
OTHERS = (
    'ParallelSARDecoder',
    'SequentialSARDecoder',
    'RobustScannerFuser',
    'NRTRDecoder',
    'MasterDecoder',
)
DECODERS = {
    **dict.fromkeys(OTHERS, CE),
    'ASTER': CE,
    'attention': CE,
    'LSTM': CE,
    'CRNN': CTC,
    'CRNN with LSTMs': CTC,
    'SVTR': CTC,
    'characters': CE,
}
STEPWISE = ('ASTER', 'attention', 'LSTM', *OTHERS)
CASES = [
    (decoder, name)
    for decoder in DECODERS
    for name in OBJECTIVES
    if decoder in ('ASTER', 'CRNN') or name in ('ASSDA', 'all')
]


def fitted(objectives, decoder):
    """With the widths of a decoder's features."""
    objectives = copy.deepcopy(objectives)
    for objective in objectives:
        if decoder in STEPWISE and objective['type'] == CONFUSION['type']:
            objective['in_channels'] = 48 if 'SAR' in decoder else 12
            if decoder in ('RobustScannerFuser', 'NRTRDecoder', 'MasterDecoder'):
                objective['in_channels'] = 16
        if decoder == 'CRNN with LSTMs' and objective['type'] in (LOCAL['type'], CONFUSION['type']):
            objective['in_channels'] = 512
    return objectives


@pytest.mark.parametrize('decoder, name', CASES)
def test_objectives(decoder, name, decoders, adaptive, images, progress):
    progress(1, 10)
    objectives, wanted = OBJECTIVES[name]
    if any(objective['type'] != GLOBAL['type'] for objective in objectives):
        wanted += decoder in STEPWISE  # once whether all predictions have ended
        wanted += decoder == 'MasterDecoder'  # whether one has the padding before its end
    texts = ('1', '2') if decoder == 'characters' else ('12', '345')
    ours, hosts = step(adaptive(*fitted(objectives, decoder), **decoders[decoder]), images(texts))
    assert sum(ours.values()) == wanted <= 4, ours
    assert sum(hosts.values()) == DECODERS[decoder], hosts


@pytest.mark.parametrize('normalized', [False, True])
@pytest.mark.parametrize('decoder', ['ASTER', 'attention', 'CRNN'])
def test_words_of_a_teacher(decoder, normalized, decoders, adaptive, images, progress):
    """They are texts, so the host waits for them. It fetches the confidences, those of the source
    and after four steps, of the teacher and of the student, whether all predictions have ended;
    torch's CTC copies lengths, four times a pass."""
    progress(1, 10)
    keep = dict(type='mmocr_da.RelativeThreshold', tau=0.0)
    options = dict(average='all', agreement_interval=10**6, length_normalized=normalized)
    objective = dict(type='mmocr_da.SelfTraining', keep=keep, **options)
    ours, _ = step(adaptive(objective, **decoders[decoder]), images())
    assert sum(ours.values()) == (10 if decoder == 'CRNN' else 4), ours


@pytest.mark.parametrize('texts, targets', [(('12', '345'), 0), ((), 2)])
@pytest.mark.parametrize('decoder', ['ASTER', 'CRNN'])
def test_batches_of_one_domain(decoder, texts, targets, decoders, adaptive, images, progress):
    progress(1, 10)
    objectives = fitted(OBJECTIVES['all'][0], decoder)
    ours, _ = step(adaptive(*objectives, **decoders[decoder]), images(texts, targets))
    assert sum(ours.values()) <= 3, ours


def test_images_of_several_sizes(adaptive, images):
    batch = images()
    batch['inputs'][1:3] = [x[:, :, :24] for x in batch['inputs'][1:3]]
    ours, _ = step(adaptive(), batch)
    assert not ours


@pytest.mark.parametrize('statistics', ['joint', 'per_domain'])
@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize('gated', [False, True])
def test_norms(statistics, channels_last, gated, adaptive, images, progress):
    progress(1, 10)
    model = adaptive(GLOBAL, norm_statistics=statistics, channels_last=channels_last)
    ours, _ = step(convert_batch_norm(model) if gated else model, images())
    assert not ours


def test_backbone_and_encoder_of_assda(adaptive, recognizer_cfg, images):
    tail = [dict(out_channels=16, kernel_size=2, stride=1, padding=1)]
    ours, _ = step(
        adaptive(
            backbone=dict(recognizer_cfg()['backbone'], type='mmocr_da.TextResNet', tail=tail),
            encoder=dict(
                type='mmocr_da.BiLSTMEncoder', in_channels=16, hidden_size=8, out_channels=16
            ),
        ),
        images(),
    )
    assert not ours


def lsed(**kwargs):
    return dict(
        type='mmocr_da.LSEDLoss',
        surrogate=dict(
            dict(channels=[8] * 5, hidden_channels=16, out_channels=8, max_distance=4, warmup=0),
            **kwargs,
        ),
    )


#: Whether all have been read; what they were read as; in its own step, the rank correlation.
LSED = {'surrogate': (0, 3), 'model': (1, 2)}


@pytest.mark.parametrize('trained', LSED)
@pytest.mark.parametrize(
    'decoder, source', [('ASTER', 'local-global'), ('ASTER', 'global'), ('attention', 'local')]
)
def test_lsed(decoder, source, trained, decoders, adaptive, images, progress):
    iteration, wanted = LSED[trained]
    progress(iteration, 10)
    model = adaptive(lsed(source=source), supervised_weight=0, **decoders[decoder])
    ours, hosts = step(model, images(('12', '345', '6'), 0))
    assert sum(ours.values()) == wanted, ours
    assert not hosts


def test_lsed_beside_objectives_of_the_target(decoders, adaptive, images, progress):
    progress(1, 10)
    ours, _ = step(adaptive(lsed(), GLOBAL, LOCAL), images())
    assert sum(ours.values()) == 3, ours


#: What was drawn is asked for once, to find its edits; and once whether all texts have ended.
RISK = dict(type='mmocr_da.MinimumRisk')
COMPLETION = dict(type='mmocr_da.OptimalCompletion')
SCHEDULED = dict(type='mmocr_da.ScheduledSampling')


@pytest.mark.parametrize(
    'decoder, objective, wanted, of_hosts',
    [
        ('ASTER', RISK, 2, 0),
        ('ASTER', dict(RISK, estimate='n-best'), 2, 0),
        ('NRTRDecoder', RISK, 2, 0),
        ('CRNN', RISK, 4, 3),  # torch's CTC copies lengths, forward and backward
        ('ASTER', COMPLETION, 1, 0),
        ('NRTRDecoder', COMPLETION, 1, 0),
        ('ASTER', SCHEDULED, 0, 0),
        ('NRTRDecoder', SCHEDULED, 0, 0),
    ],
)
def test_losses_of_own_texts(
    decoder, objective, wanted, of_hosts, decoders, adaptive, images, progress
):
    progress(1, 10)
    model = adaptive(objective, supervised_weight=0, **decoders[decoder])
    ours, hosts = step(model, images(('12', '345', '6'), 0))
    assert sum(ours.values()) == wanted, ours
    assert sum(hosts.values()) == of_hosts, hosts


HEADS = {
    'none': None,
    'MLP': dict(type='mmocr_da.MLPProjection', hidden_channels=8, out_channels=6),
    'BiLSTM': dict(type='mmocr_da.BiLSTMProjection', hidden_channels=8, out_channels=6),
}


@pytest.mark.parametrize(
    'mapping, head, representation',
    [
        *((mapping, head, 'H') for mapping in ('Window', 'All', 'Frame') for head in HEADS),
        ('Window', 'MLP', 'V'),
        ('Frame', 'BiLSTM', 'HV'),
    ],
)
def test_seqclr(mapping, head, representation, recognizer_cfg, images):
    width = 32 if representation == 'HV' else 16
    model = MODELS.build(
        dict(
            recognizer_cfg(),
            type='mmocr_da.SeqCLR',
            representation=representation,
            projection=HEADS[head] and dict(HEADS[head], in_channels=width),
            mapping=dict(type=f'mmocr_da.{mapping}ToInstance'),
        )
    ).train()
    view = images(('', '', ''), 0)
    items = [
        dict(inputs=[x, x.flip(0)], data_samples=[s, copy.deepcopy(s)])
        for x, s in zip(view['inputs'], view['data_samples'])
    ]
    assert step(model, pseudo_collate(items)) == ({}, {})


BOXES = torch.tensor([[45.0, 40, 60, 18, 0.3], [85, 90, 50, 16, -0.6], [30, 30, 40, 20, 0.1]])


@pytest.fixture
def pairs(tmp_path):
    """What generated pairs of boxes are made of."""
    instances = [
        dict(polygon=[x, 9, x + w, 9, x + w, 9 + h, x, 9 + h], ignore=False)
        for x, w, h in ((0, 80, 20), (90, 30, 12), (200, 40, 30))
    ]
    file = tmp_path / 'labels.json'
    file.write_text(json.dumps(dict(data_list=[dict(img_path='a.jpg', instances=instances)])))
    return dict(ann_files=[str(file)], num_pairs=200, cache_dir=str(tmp_path))


#: Which boxes count; of the learned loss the log and, in the surrogate's step, the correlation.
@pytest.mark.parametrize(
    'kind, iteration, wanted',
    [
        ('RotatedIoULoss', 0, 1),
        ('KFIoULoss', 0, 1),
        ('GWDLoss', 0, 1),
        ('LSIoULoss', 0, 3),
        ('LSIoULoss', 1, 2),
    ],
)
def test_losses_of_boxes(kind, iteration, wanted, pairs, progress):
    progress(iteration, 10)
    cfg = dict(type=f'mmocr_da.{kind}')
    if kind == 'LSIoULoss':
        cfg['surrogate'] = dict(pairs=pairs, num_generated=16, image_size=(128, 128))
    loss = MODELS.build(cfg).train()
    loss._to_check = 0  # as after the first boxes
    predictions = (BOXES + torch.tensor([3.0, 2, 5, 1, 0.1])).requires_grad_()
    reference = copy.deepcopy(loss)(predictions, BOXES)
    with emulated_cuda() as record:
        found = on_cuda(loss)(on_cuda(predictions), on_cuda(BOXES), on_cuda(torch.ones(3)))
        found.backward()
        assert sum(record.waits().values()) == wanted, record.waits()
        torch.testing.assert_close(found.cpu(), reference, rtol=1e-4, atol=1e-5)
