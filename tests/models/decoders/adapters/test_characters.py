"""Every decoder whose characters objectives can use: one matrix, the laws of its adapter."""

import copy
import math
import re

import pytest
import torch
from helpers.decoders import (
    ABINET,
    BACKBONE,
    BACKWARDS,
    CTC,
    DECODERS,
    ISOLATED,
    STEPWISE,
    VISION,
    class_of,
    inputs_of,
    rows,
)
from mmengine.structures import LabelData
from torch import nn

from mmocr_da.models.decoders import adapter_of, character_decoders
from mmocr_da.models.decoders.adapters.tokens import predicted_characters
from mmocr_da.models.decoders.classifier import classify, module_replaced
from mmocr_da.models.valid_ratio import valid_ratios
from mmocr_da.registry import MODELS


def encode(model, batch):
    feature_map, sequence = model.extract_feat(batch['inputs']), None
    if model.with_encoder:
        sequence = model.encoder(feature_map, batch['data_samples'])
    return feature_map, sequence


def decode(decoder, feature_map, sequence, samples, character_feature='context'):
    labelled = [s.domain == 'source' for s in samples]
    return adapter_of(decoder).decode(
        feature_map, sequence, samples, labelled, valid_ratios(samples), character_feature
    )


def with_labels(model, samples):
    """The samples, after the loss has given the labelled ones their indexes."""
    model.decoder.module_loss.get_targets([s for s in samples if s.domain == 'source'])
    return samples


@pytest.mark.parametrize('decoder', DECODERS)
def test_labelled_rows_equal_the_decoders_training_path(recognizer, batch, decoder):
    model = recognizer(decoder)
    data = batch(('12', '3456', '7'), targets=0)
    feature_map, sequence = encode(model, data)
    expected = model.decoder(feature_map, sequence, data['data_samples'])
    decoded = decode(model.decoder, feature_map, sequence, with_labels(model, data['data_samples']))
    steps = decoded.logits.size(1)
    assert steps == 5  # four characters and the end token
    counted = decoded.supervised  # MASTER's steps after the end depend on later ones
    torch.testing.assert_close(decoded.logits[counted], expected[:, :steps][counted])


@pytest.mark.parametrize('decoder', DECODERS)
def test_unlabelled_rows_equal_the_decoders_test_path(recognizer, batch, decoder):
    model = recognizer(decoder)
    data = batch(('123456',), targets=3)
    feature_map, sequence = encode(model, data)
    decoded = decode(model.decoder, feature_map, sequence, with_labels(model, data['data_samples']))
    free = model.decoder.eval()(feature_map[1:], rows(sequence, slice(1, 4)), decoded_samples(data))
    probabilities = torch.softmax(decoded.logits[1:], -1)
    compare_up_to_the_end(model.decoder, probabilities, free)


@pytest.mark.parametrize('decoder', DECODERS)
def test_a_row_does_not_depend_on_its_neighbours(recognizer, batch, decoder):
    model = recognizer(decoder).eval()
    data = batch(('12', '345'), targets=2)
    feature_map, sequence = encode(model, data)
    samples = with_labels(model, data['data_samples'])
    together = decode(model.decoder, feature_map, sequence, samples)
    for row in range(4):
        one = slice(row, row + 1)
        alone = decode(model.decoder, feature_map[one], rows(sequence, one), samples[one])
        steps = min(alone.logits.size(1), together.logits.size(1))
        counted = together.supervised[row, :steps]
        torch.testing.assert_close(
            alone.features[0, :steps][counted], together.features[row, :steps][counted]
        )
        assert torch.equal(alone.is_character[0, :steps], together.is_character[row, :steps])


def decoded_samples(data):
    return [s for s in data['data_samples'] if s.domain == 'target']


def compare_up_to_the_end(decoder, found, wanted):
    """Probabilities of each row up to its first end token; ``found`` may end with the last one."""
    steps = found.size(1)
    classes = wanted.argmax(-1)
    is_end = classes == decoder.dictionary.end_idx
    counted = is_end.cumsum(1) - is_end.long() == 0
    assert not counted[:, steps:].any()
    torch.testing.assert_close(found[counted[:, :steps]], wanted[:, :steps][counted[:, :steps]])


@pytest.mark.parametrize('kind', STEPWISE)
def test_the_width_of_the_features_is_known_before(decoder, sample, kind):
    model = decoder(kind)
    inputs, samples = inputs_of(model, 2), [sample('1'), sample(domain='target')]
    for character_feature in ('context', 'hidden'):
        width = run(model, inputs, samples, character_feature).features.size(-1)
        assert adapter_of(model).feature_channels(character_feature) == width


def test_features_are_the_contexts_or_the_classifier_input(adaptive, batch):
    model = adaptive(decoder='mmocr_da.AttentionDecoder')
    data = batch(('12',), targets=1)
    feature_map, sequence = encode(model, data)
    samples = with_labels(model, data['data_samples'])
    context = decode(model.decoder, feature_map, sequence, samples)
    hidden = decode(model.decoder, feature_map, sequence, samples, 'hidden')
    assert context.features.size(-1) == model.decoder.in_channels
    torch.testing.assert_close(model.decoder.fc(hidden.features), hidden.logits)
    # A context is a convex combination of the memory (eq. 2): it lies within its range.
    low, high = sequence.amin(1, keepdim=True), sequence.amax(1, keepdim=True)
    assert ((context.features >= low - 1e-6) & (context.features <= high + 1e-6)).all()
    assert not model.decoder.fc._forward_pre_hooks  # nothing stays behind


def test_valid_steps_of_a_label_are_its_characters(adaptive, batch):
    model = adaptive()
    data = batch(('12', '345', ''), targets=0)
    decoded = decode(model.decoder, *encode(model, data), with_labels(model, data['data_samples']))
    assert decoded.is_character.sum(1).tolist() == [2, 3, 0]
    for row, text in enumerate(('12', '345')):
        assert decoded.labels[row, : len(text)].tolist() == [int(c) for c in text]


def test_a_text_that_fills_the_decoder_loses_its_last_character_only(adaptive, batch):
    model = adaptive()
    data = batch(('1234567890',), targets=0)  # max_seq_len 8: start token and 7 characters
    decoded = decode(model.decoder, *encode(model, data), with_labels(model, data['data_samples']))
    assert decoded.is_character.sum() == 7


def test_valid_steps_of_a_reading_end_with_the_end_token(adaptive):
    decoder = adaptive().decoder
    end, padding = decoder.dictionary.end_idx, decoder.dictionary.padding_idx
    reading = torch.tensor([[1, 2, end, 3], [end, 4, 5, 6], [7, padding, 8, 9]])
    assert predicted_characters(decoder, reading)[0].int().tolist() == [
        [1, 1, 0, 0],
        [0, 0, 0, 0],
        [1, 0, 1, 1],
    ]


def test_gradient_reaches_the_features_of_a_free_reading(adaptive, batch):
    model = adaptive()
    data = batch((), targets=2)
    feature_map, sequence = encode(model, data)
    decoded = decode(model.decoder, feature_map, sequence, data['data_samples'])
    (grad,) = torch.autograd.grad(decoded.features.square().sum(), feature_map)
    assert (grad.abs().sum((1, 2, 3)) > 0).all()


def test_an_unknown_decoder_gets_the_list_of_the_known_ones(digits_dictionary):
    vision = MODELS.build(dict(VISION, dictionary=digits_dictionary))
    with pytest.raises(ValueError, match='ABIVisionDecoder.*' + ', '.join(character_decoders())):
        adapter_of(vision).check_characters()


def test_a_loss_that_keeps_the_start_token_is_refused(adaptive):
    decoder = adaptive().decoder
    decoder.module_loss.ignore_first_char = False
    with pytest.raises(ValueError, match='ignore_first_char=True'):
        adapter_of(decoder).check_characters()


def test_all_steps_are_run_when_the_loss_reads_the_padding(adaptive, batch):
    model = adaptive()
    model.decoder.module_loss.ignore_index = -1
    data = batch(('1',), targets=0)
    data['data_samples'][0].gt_text = LabelData(item='1')
    decoded = decode(model.decoder, *encode(model, data), with_labels(model, data['data_samples']))
    assert decoded.logits.size(1) == model.decoder.max_seq_len


def run(decoder, inputs, samples, character_feature='context'):
    decoder.module_loss.get_targets([s for s in samples if s.domain == 'source'])
    return decode(decoder, *inputs, samples, character_feature)


def texts_for(kind):
    return ('1', '2', '3') if kind == ISOLATED else ('12', '345', '6')


def collapse(path, blank):
    """What a path of classes reads."""
    return [k for i, k in enumerate(path) if k != blank and (i == 0 or path[i - 1] != k)]


@pytest.mark.parametrize('width', [1, 8])
@pytest.mark.parametrize('kind', [*STEPWISE, *CTC, ISOLATED])
def test_logits_are_those_of_the_decoders_training(decoder, sample, kind, width):
    model = decoder(kind)
    inputs, samples = inputs_of(model, 3, width), [sample(text) for text in texts_for(kind)]
    out = run(model, inputs, samples)
    wanted = adapter_of(model).final_logits(model(*inputs, samples))
    steps = out.logits.size(1)
    counted = out.supervised
    torch.testing.assert_close(out.logits[counted], wanted[:, :steps][counted])
    assert adapter_of(model).stops_early == (out.logits.size(1) < wanted.size(1))


@pytest.mark.parametrize('width', [1, 2, 8])
@pytest.mark.parametrize('kind', [*STEPWISE, *CTC, ISOLATED])
def test_the_classifier_makes_the_logits_of_the_hidden_vectors(decoder, sample, kind, width):
    model = decoder(kind)
    # Attention: one step, two, or several.
    texts = ('1' * (width - 1),) * 2 if kind in DECODERS else texts_for(kind)[:2]
    out = run(model, inputs_of(model, 2, width), [sample(text) for text in texts])
    assert out.classifier is adapter_of(model).classifier
    assert out.hidden.shape[:2] == out.logits.shape[:2]
    logits = classify(out.hidden.flatten(0, 1), out.classifier)
    torch.testing.assert_close(logits.view_as(out.logits), out.logits)
    assert not out.classifier._forward_pre_hooks


@pytest.mark.parametrize('kind', [*CTC, ISOLATED])
def test_without_attention_the_feature_is_the_hidden_vector(decoder, sample, kind):
    model = decoder(kind)
    inputs, samples = inputs_of(model, 1), [sample('1')]
    for character_feature in ('context', 'hidden'):
        out = run(model, inputs, samples, character_feature)
        assert out.features is out.hidden
    width = {CTC[1]: 512}.get(kind, 16)
    assert out.features.shape == (1, 1 if kind == ISOLATED else 8, width)


@pytest.mark.parametrize(
    'padding',
    [dict(), dict(module_loss=dict(pad_with='end')), dict(dictionary=dict(with_padding=False))],
)
@pytest.mark.parametrize('kind', STEPWISE)
@pytest.mark.filterwarnings('ignore:padding does not exist')
def test_an_attention_label_is_its_characters_and_its_end(decoder, sample, kind, padding):
    """Texts that have room for an end token, and from 7 characters on (max_seq_len 8) none."""
    if 'dictionary' in padding and class_of(kind) in ('NRTRDecoder', 'MasterDecoder'):
        pytest.skip('a transformer of MMOCR masks the padding')
    model = decoder(kind, **padding)
    texts = ('12', '', '123456', '1234567', '1234567890')
    out = run(model, inputs_of(model, len(texts)), [sample(text) for text in texts])
    for row, text in enumerate(texts):
        tokens = ([int(c) for c in text] + [model.dictionary.end_idx])[:7]
        characters = min(len(text), 7)
        behind = out.logits.size(1) - len(tokens)
        assert out.is_character[row].tolist() == [True] * characters + [False] * (
            out.logits.size(1) - characters
        )
        assert out.supervised[row].tolist() == [True] * len(tokens) + [False] * behind
        assert out.labels[row, : len(tokens)].tolist() == tokens


@pytest.mark.parametrize('kind', STEPWISE)
def test_a_free_reading_ends_with_the_first_end_token(decoder, sample, kind):
    model = decoder(kind)
    with torch.no_grad():  # so that some readings end
        adapter_of(model).classifier.weight.mul_(10)
    inputs = [None if x is None else 10 * x for x in inputs_of(model, 32)]
    out = run(model, inputs, [sample(domain='target') for _ in range(32)])
    found = set()
    for row, reading in enumerate(out.logits.argmax(-1).tolist()):
        characters = next(
            (k for k, c in enumerate(reading) if c == model.dictionary.end_idx), len(reading)
        )
        ended = characters < len(reading)
        assert out.is_character[row].tolist() == [
            k < characters and c != model.dictionary.padding_idx for k, c in enumerate(reading)
        ]
        assert out.supervised[row].tolist() == [
            v or (ended and k == characters) for k, v in enumerate(out.is_character[row].tolist())
        ]
        found.add(ended)
    assert out.blank is None and torch.equal(out.comparable, out.supervised)
    assert found == {True, False}


@pytest.mark.parametrize('ignored', ['unknown', 'end'])
def test_what_the_loss_ignores_is_no_target(decoder, sample, ignored):
    model = decoder('ASTERDecoder', module_loss=dict(ignore_char=ignored))
    out = run(model, inputs_of(model, 2), [sample('1?2'), sample('34')])
    assert out.supervised[0, :4].tolist() == [True, ignored != 'unknown', True, ignored != 'end']
    assert out.supervised[1, :3].tolist() == [True, True, ignored != 'end']


def test_a_dictionary_without_an_end_token_has_no_ends(decoder, sample):
    model = decoder('ASTERDecoder', dictionary=dict(with_end=False, same_start_end=False))
    out = run(model, inputs_of(model, 2), [sample('12'), sample(domain='target')])
    assert out.is_character[0].tolist() == [True] * 2 + [False] * 6
    assert torch.equal(out.is_character, out.supervised)


@pytest.mark.parametrize('kind', CTC)
def test_a_ctc_label_is_a_path_that_reads_it(decoder, sample, kind):
    """Blank frames of the path are answered, its characters also valid; padding is neither."""
    model = decoder(kind)
    blank = model.dictionary.padding_idx
    cases = [
        ('12', 1.0, 8),
        ('1122', 1.0, 8),
        ('', 1.0, 8),
        ('345', 0.5, 4),
        ('7', 0.3, 3),
        ('12345678', 1.0, 8),
        ('7', 0.01, 1),
    ]
    samples = [sample(text, valid_ratio=ratio) for text, ratio, _ in cases]
    out = run(model, inputs_of(model, len(cases)), samples)
    for row, (text, _, frames) in enumerate(cases):
        shown = [k < frames for k in range(8)]
        assert out.supervised[row].tolist() == shown
        path = out.labels[row, :frames].tolist()
        assert collapse(path, blank) == [int(c) for c in text]
        assert out.is_character[row].tolist() == [c != blank for c in path] + [False] * (8 - frames)


@pytest.mark.parametrize(
    'text, ratio', [('11111', 1.0), ('123456789', 1.0), ('12', 0.1), ('11', 0.25)]
)
@pytest.mark.parametrize('kind', CTC)
def test_a_label_that_does_not_fit_its_frames_teaches_nothing(decoder, sample, kind, text, ratio):
    model = decoder(kind)
    samples = [sample(text, valid_ratio=ratio), sample('12')]
    out = run(model, inputs_of(model, 2), samples)
    assert not out.supervised[0].any() and not out.is_character[0].any()
    assert out.labels[0].min() >= 0  # no class that a loss would stumble over
    assert out.supervised[1].all() and out.is_character[1].any()


@pytest.mark.parametrize('kind', CTC)
def test_characters_of_an_unlabelled_row_are_what_mmocr_reads(decoder, sample, kind):
    model = decoder(kind)
    blank = model.dictionary.padding_idx
    classifier = adapter_of(model).classifier
    ratios = [1.0, 0.9, 0.5, 0.3, 0.1, 1.0] * 3
    inputs = inputs_of(model, len(ratios))
    with torch.no_grad():  # so that half of the frames are blank
        classifier.weight.normal_()
        logits = model.forward_train(*inputs)
        others = logits[..., [k for k in range(logits.size(-1)) if k != blank]].amax(-1)
        classifier.bias[blank] += (others - logits[..., blank]).median()
    samples = [sample(domain='target', valid_ratio=ratio) for ratio in ratios]
    out = run(model, inputs, samples)
    reading = out.logits.argmax(-1).tolist()
    for row, ratio in enumerate(ratios):
        frames = math.ceil(ratio * 8)
        assert out.is_character[row].tolist() == [
            k < frames and c != blank for k, c in enumerate(reading[row])
        ]
        assert out.supervised[row].tolist() == [k < frames for k in range(8)]
    assert out.blank == blank and torch.equal(out.comparable, out.is_character)
    assert 0 < out.is_character.float().mean() < 1
    for row, read in enumerate(model.postprocessor(out.logits.softmax(-1), samples)):
        path = [c if v else blank for c, v in zip(reading[row], out.is_character[row].tolist())]
        assert read.pred_text.item == model.dictionary.idx2str(collapse(path, blank))


def test_a_frame_is_not_added_by_rounding(decoder, sample):
    """0.28 * 25 is more than 7 in floating point."""
    model = decoder(CTC[0])
    assert math.ceil(0.28 * 25) == 8
    out = run(model, inputs_of(model, 1, 25), [sample('1', valid_ratio=0.28)])
    assert out.supervised.sum() == 7


@pytest.mark.parametrize('kind', [*CTC, ISOLATED])
def test_a_row_of_a_ctc_decoder_does_not_depend_on_its_neighbours(decoder, sample, kind):
    model = decoder(kind)
    texts = ('1', '2') if kind == ISOLATED else ('12', '3')
    samples = [
        sample(texts[0], valid_ratio=0.5),
        sample(domain='target', valid_ratio=0.7),
        sample(texts[1]),
        sample(domain='target'),
    ]
    inputs = inputs_of(model, 4)
    together = run(model, inputs, samples)
    for row in range(4):
        one = torch.tensor([row])
        alone = run(model, [None if x is None else x[one] for x in inputs], [samples[row]])
        wanted = together.of_images(one)
        assert wanted.classifier is alone.classifier
        names = ['features', 'hidden', 'logits', 'is_character', 'supervised']
        # Of unlabelled rows these mean nothing.
        names += ['labels'] if samples[row].domain == 'source' else []
        for name in names:
            torch.testing.assert_close(getattr(alone, name), getattr(wanted, name))


@pytest.mark.parametrize('kind', [*STEPWISE, *CTC, ISOLATED])
def test_a_decoder_reads_with_the_other_classifier_and_gets_its_own_back(decoder, sample, kind):
    model = decoder(kind).eval()
    inputs = [*inputs_of(model, 3), [sample() for _ in range(3)]]
    own = adapter_of(model).classifier
    other = copy.deepcopy(own)
    nn.init.normal_(other.weight)
    keys, before = list(model.state_dict()), model(*inputs)
    twin = copy.deepcopy(model)
    adapter_of(twin).classifier.load_state_dict(other.state_dict())
    with module_replaced(model, adapter_of(model).classifier_path, other):
        assert adapter_of(model).classifier is other
        assert torch.equal(model(*inputs), twin(*inputs))
    with pytest.raises(KeyError), module_replaced(model, adapter_of(model).classifier_path, other):
        raise KeyError
    assert adapter_of(model).classifier is own
    assert torch.equal(model(*inputs), before) and not torch.equal(twin(*inputs), before)
    assert list(model.state_dict()) == keys


@pytest.mark.parametrize('kind', [*STEPWISE, *CTC, ISOLATED])
def test_the_tap_works_in_half_precision(decoder, sample, kind, bfloat16_works):
    model = decoder(kind).float()
    if not bfloat16_works(model):
        pytest.skip('oneDNN has no LSTM in bfloat16 for this CPU')
    samples = [sample(text) for text in texts_for(kind)]
    inputs = [None if x is None else x.float() for x in inputs_of(model, 3)]
    full = run(model, inputs, samples)
    with torch.autocast('cpu', torch.bfloat16):
        half = run(model, inputs, samples)
    for name in ('features', 'hidden', 'logits'):
        torch.testing.assert_close(
            getattr(half, name).float(), getattr(full, name), rtol=0.05, atol=0.05
        )
    for name in ('is_character', 'supervised'):
        assert getattr(half, name).dtype == torch.bool
    logits = classify(half.hidden.flatten(0, 1), half.classifier)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits.view_as(full.logits), full.logits, rtol=0.05, atol=0.05)


SVTR_ENCODER = dict(
    type='SVTREncoder',
    img_size=[16, 32],
    in_channels=1,
    embed_dims=[8, 8, 8],
    depth=[1, 1, 1],
    num_heads=[2, 2, 2],
    mixer_types=['Local', 'Global', 'Global'],
    out_channels=16,
    max_seq_len=8,
    prenorm=False,
)  # True leaves out a layer that is there


@pytest.mark.parametrize('texts, targets', [(('1', '2'), 2), ((), 2), (('1', '2'), 0)])
@pytest.mark.parametrize('kind', [*CTC, ISOLATED])
def test_objectives_of_characters_train_decoders_without_attention(
    adaptive, batch, decoder_cfg, kind, texts, targets
):
    objectives = [
        dict(
            type='mmocr_da.LocalAlignment',
            in_channels=512 if kind == CTC[1] else 16,
            threshold=0.0,
            schedule='constant',
        ),
        dict(type='mmocr_da.SymNetHead', schedule='constant'),
    ]
    parts = (
        dict(backbone=None, encoder=SVTR_ENCODER) if kind == 'SVTRDecoder' else {'encoder': None}
    )
    model = adaptive(
        *objectives, decoder=decoder_cfg(kind), supervised_weight=0.5, **copy.deepcopy(parts)
    )
    losses = model.loss(**batch(texts, targets))
    total, _ = model.parse_losses(losses)
    total.backward()
    assert total.isfinite()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in model.parameters())
    if texts and targets:
        assert all(losses[k] > 0 for k in losses if 'loss' in k)


@pytest.mark.parametrize('text, length', [('12', 2), ('', 0)])
def test_a_text_that_is_no_character_is_refused_by_name(adaptive, batch, decoder_cfg, text, length):
    model = adaptive(dict(type='mmocr_da.SymNetHead'), decoder=decoder_cfg(ISOLATED), encoder=None)
    with pytest.raises(ValueError, match=f"'{text}' of source.png, which has {length}"):
        model.loss(**batch(('1', text), 2))


@pytest.mark.parametrize(
    'kind, loss',
    [
        ('CRNNDecoder', dict(type='CEModuleLoss')),
        ('SVTRDecoder', dict(type='CEModuleLoss')),
        ('ASTERDecoder', dict(type='CEModuleLoss')),
        (ISOLATED, None),
        ('ABIFuser', dict(type='CEModuleLoss', ignore_first_char=True)),
    ],
)
def test_a_decoder_with_another_loss_is_refused(decoder_cfg, kind, loss):
    model = MODELS.build(dict(decoder_cfg(kind), module_loss=loss))
    assert not adapter_of(model).can_decode()
    with pytest.raises(ValueError, match=f'characters of {kind.split(".")[-1]} cannot be aligned'):
        adapter_of(model).check_characters()


CONFUSION = dict(type='mmocr_da.DomainConfusion', schedule='constant')
SELF_TRAINING = dict(type='mmocr_da.SelfTraining', threshold=0.0)


@pytest.mark.parametrize('texts, targets', [(('1', '23'), 2), ((), 2), (('1', '23'), 0)])
@pytest.mark.parametrize('kind', STEPWISE)
def test_objectives_train_decoders_with_a_step_per_character(
    recognizer, batch, kind, texts, targets
):
    width = 16 if kind != 'ParallelSARDecoder' and 'Sequential' not in kind else 48
    width = 12 if 'ASTER' in kind or 'Attention' in kind else width
    objectives = [
        dict(type='mmocr_da.LocalAlignment', in_channels=16, threshold=0.0, schedule='constant'),
        dict(type='mmocr_da.SymNetHead', schedule='constant'),
        dict(CONFUSION, in_channels=width),
        dict(type='mmocr_da.EntropyMinimization', schedule='constant'),
        SELF_TRAINING,
    ]
    strides = [(2, 2), *[(1, 1)] * 3] if kind in ABINET else [(2, 2), (2, 2), (2, 1), (2, 1)]
    backbone = dict(BACKBONE, strides=strides)
    model = recognizer(kind, *objectives, supervised_weight=0.5, backbone=backbone)
    losses = model.loss(**batch(texts, targets))
    total, _ = model.parse_losses(losses)
    total.backward()
    assert total.isfinite()
    teacher = 'objectives.self_training.'
    left_out = {n for n, p in model.named_parameters() if p.grad is None and teacher not in n}
    # What ABINet's language model corrects has no gradient, as in MMOCR.
    assert left_out == set()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    if texts and targets:  # the teacher may have predicted empty words alone
        assert all(losses[k] > 0 for k in losses if 'loss' in k and 'self_training' not in k)


def test_labels_alone_train_as_mmocr_does(recognizer, batch):
    """The loss of ABINet has three parts, of which characters are one."""
    local = dict(type='mmocr_da.LocalAlignment', in_channels=16, threshold=0.0, schedule='constant')
    backbone = dict(BACKBONE, strides=[(2, 2), *[(1, 1)] * 3])
    model = recognizer('ABIFuser(language)', local, backbone=backbone)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # or its statistics would be of the target, too
            module.eval()
    losses = model.loss(**batch(('12', '345'), 2))
    decoder, data = model.decoder, batch(('12', '345'), 2)
    feature_map, sequence = encode(model, data)
    samples = decoder.module_loss.get_targets(data['data_samples'][:2])
    wanted = decoder.loss(feature_map[:2], sequence[:2], samples)
    assert len(wanted) == 3
    for name, value in wanted.items():
        torch.testing.assert_close(losses[name], value)


@pytest.mark.parametrize('kind', ['ParallelSARDecoder', 'SequentialSARDecoder'])
def test_dropout_of_logits_is_in_the_loss_alone(recognizer, batch, kind):
    """MMOCR's SAR drops logits in training; a character is predicted and compared without."""
    local = dict(type='mmocr_da.LocalAlignment', in_channels=16, threshold=0.0, schedule='constant')
    model = recognizer(kind, local)
    model.decoder.pred_dropout.p = 1.0
    data = batch(('12', '345'), targets=1)
    decoded = decode(model.decoder, *encode(model, data), with_labels(model, data['data_samples']))
    hidden = classify(decoded.hidden.flatten(0, 1), decoded.classifier)
    torch.testing.assert_close(decoded.logits.flatten(0, 1), hidden)
    assert decoded.logits.any() and not decoded.training_output.any()
    classes = decoded.logits.size(-1)  # all logits are 0
    assert model.loss(**data)['loss_ce'].item() == pytest.approx(math.log(classes), rel=1e-5)


@pytest.mark.parametrize('kind', ['NRTRDecoder', 'MasterDecoder'])
def test_dropout_has_no_part_in_what_is_predicted(decoder, sample, kind):
    model = decoder(kind)
    inputs, samples = inputs_of(model, 6), [sample(domain='target') for _ in range(6)]
    wanted = run(model, inputs, samples)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    found = run(model, inputs, samples)
    assert not torch.equal(found.logits, wanted.logits)
    assert torch.equal(found.supervised, wanted.supervised)
    assert torch.equal(found.is_character, wanted.is_character)
    assert all(m.training for m in model.modules())


@pytest.mark.parametrize('garbage', [0.0, 9.0])
@pytest.mark.parametrize(
    'kind', ['NRTRDecoder', 'ParallelSARDecoder', 'SequentialSARDecoder', 'RobustScannerFuser']
)
def test_a_padded_image_has_the_characters_of_its_unpadded_one(decoder, sample, kind, garbage):
    """Convolutions of SAR and RobustScanner see the first column of padding, so it must be empty;
    the position branch of RobustScanner makes something of an empty one, too."""
    if garbage and kind != 'NRTRDecoder':
        pytest.skip('its convolution looks beyond the valid columns')
    model = decoder(kind)
    feature_map, sequence = inputs_of(model, 2, 4)
    padded = torch.full((2, 16, 1, 8), garbage, dtype=feature_map.dtype)
    padded[..., :4] = feature_map
    if kind == 'NRTRDecoder':
        padded_sequence = padded.squeeze(2).transpose(1, 2)
    else:
        padded_sequence = padded[:, :12] if 'Robust' in kind else sequence
    if 'Robust' in kind:
        for parameter in model.position_decoder.position_aware_module.parameters():
            parameter.data.zero_()
    samples = [sample('12'), sample(domain='target')]
    wanted = run(model, (feature_map, sequence), samples)
    samples = [sample('12', valid_ratio=0.5), sample(domain='target', valid_ratio=0.5)]
    found = run(model, (padded, padded_sequence), samples)
    for name in ('features', 'hidden', 'logits'):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name))


def test_a_sar_that_reads_backwards_is_refused(decoder, sample):
    adapter = adapter_of(decoder(BACKWARDS))
    for check in (adapter.check_characters, lambda: adapter.check_greedy('LSEDLoss')):
        with pytest.raises(ValueError, match='labels of later characters.*set dec_bi_rnn=False'):
            check()
    adapter_of(decoder('ParallelSARDecoder')).check_greedy('LSEDLoss')


def test_a_sar_with_gru_cells_decodes_where_mmocr_fails(decoder, sample):
    model = decoder('SequentialSARDecoder(dec_gru=True)')
    inputs, samples = inputs_of(model, 2), [sample('12'), sample('345')]
    wanted = model(*inputs, samples)
    found = run(model, inputs, samples)
    torch.testing.assert_close(found.logits, wanted[:, :4])
    assert adapter_of(model).probabilities(*inputs, samples).size(-1) == wanted.size(-1)


def test_these_decoders_have_characters():
    """Those of the matrix, so that the laws are tested for each."""
    kinds = [*DECODERS, *ABINET, *CTC, ISOLATED]
    assert set(character_decoders()) == {re.sub(r'^mmocr_da\.|\(.*', '', k) for k in kinds}
