"""Greedy decoding with gradients, as in testing, for every decoder with a step per character."""

import copy

import pytest
import torch
from helpers.decoders import DECODERS, OTHERS, STEPWISE, inputs_of, rows
from helpers.emulated_cuda import emulated_cuda, on_cuda
from mmocr.models.textrecog.decoders import ParallelSARDecoderWithBS
from mmocr.structures import TextRecogDataSample
from torch import nn

from mmocr_da.models.decoders import GreedyPrediction, adapter_of, decode_fast
from mmocr_da.registry import MODELS

MMOCR = {  # one config for each decoder of MMOCR with a step per character
    'aster/aster_resnet45_6e_st_mj': 'ASTERDecoder',
    'nrtr/nrtr_resnet31-1by8-1by4_6e_st_mj': 'NRTRDecoder',
    'satrn/satrn_shallow-small_5e_st_mj': 'NRTRDecoder',
    'master/master_resnet31_12e_st_mj_sa': 'MasterDecoder',
    'robust_scanner/robustscanner_resnet31_5e_st-sub_mj-sub_sa_real': 'RobustScannerFuser',
    'sar/sar_resnet31_parallel-decoder_5e_st-sub_mj-sub_sa_real': 'ParallelSARDecoder',
    'sar/sar_resnet31_sequential-decoder_5e_st-sub_mj-sub_sa_real': 'SequentialSARDecoder',
    'abinet/abinet-vision_20e_st-an_mj': 'ABIFuser',
    'abinet/abinet_20e_st-an_mj': 'ABIFuser',
}


@pytest.mark.parametrize('name', MMOCR)
def test_it_is_the_prediction_of_testing(name, mmocr_recognizer, bfloat16_works):
    model = MODELS.build(mmocr_recognizer(name)).eval()
    decoder = model.decoder
    assert type(decoder).__name__ == MMOCR[name]
    adapter_of(decoder).check_greedy('a test')
    samples = [TextRecogDataSample(metainfo=dict(valid_ratio=r)) for r in (1.0, 0.6)]
    images = torch.randn(2, 3, 32, 128)
    with torch.no_grad():
        feature_map = model.extract_feat(images)
        sequence = model.encoder(feature_map, samples) if model.with_encoder else None
        for parameter in decoder.parameters():  # or a fresh one repeats one character
            if parameter.dim() > 1:
                parameter.mul_(1.5)
        wanted = decoder.forward_test(feature_map, sequence, samples)
        without_gradient = adapter_of(decoder).predict(feature_map, sequence, samples).softmax(-1)
    torch.testing.assert_close(without_gradient, wanted[:, : without_gradient.size(1)])
    decoder.train('robust' in name)  # its parts ask for the mode, and have no dropout
    feature_map = feature_map.requires_grad_()
    sequence = None if sequence is None else sequence.requires_grad_()
    logits = adapter_of(decoder).predict(feature_map, sequence, samples)
    found = GreedyPrediction(logits, []).probabilities
    torch.testing.assert_close(found, wanted[:, : found.size(1)], rtol=1e-3, atol=1e-5)
    # MMOCR's own samples are as they were.
    assert not any('gt_text' in s for s in samples)
    found.square().sum().backward()
    memory = [x for x in (feature_map, sequence) if x is not None]
    assert any(x.grad is not None and x.grad.any() for x in memory)
    trained = with_gradient(decoder)
    decoder.zero_grad()
    if not bfloat16_works(decoder):
        pytest.skip('oneDNN has no LSTM in bfloat16 for this CPU')
    # The pass without gradients must not leave its casts of the weights to the one with them.
    with torch.autocast('cpu', torch.bfloat16):
        logits = adapter_of(decoder).predict(feature_map, sequence, samples)
    logits.float().square().sum().backward()
    assert with_gradient(decoder) == trained


KINDS = {**STEPWISE, **OTHERS}
KINDS.pop('SequentialSARDecoder(dec_gru=True)')  # MMOCR's loop fails


@pytest.mark.parametrize('kind', KINDS)
def test_fast_decoding_is_the_loop_of_mmocr(decoder, sample, kind):
    """The same tokens and probabilities at all steps up to the end of the longest text."""
    model = decoder(kind).eval()
    with torch.no_grad():  # so that some texts end, at different steps
        adapter_of(model).classifier.weight.mul_(10)
    samples = [sample(domain='target', valid_ratio=(1.0, 0.7, 0.4)[i % 3]) for i in range(32)]
    inputs = [None if x is None else 4 * x for x in inputs_of(model, 32)]
    wanted = model.forward_test(*inputs, samples)
    found = adapter_of(model).probabilities(*inputs, samples)
    steps = found.size(1)
    assert torch.equal(found.argmax(-1), wanted.argmax(-1)[:, :steps])
    torch.testing.assert_close(found, wanted[:, :steps])
    texts = model.postprocessor(wanted, copy.deepcopy(samples))
    for fast, slow in zip(model.postprocessor(found, copy.deepcopy(samples)), texts):
        assert fast.pred_text.item == slow.pred_text.item
        torch.testing.assert_close(
            torch.tensor(fast.pred_text.score), torch.tensor(slow.pred_text.score)
        )
    if kind in DECODERS:
        is_end = wanted.argmax(-1) == model.dictionary.end_idx
        ends = [row.index(True) + 1 if any(row) else 8 for row in is_end.tolist()]
        assert steps == max(ends) and min(ends) < 4
        # Rows go on after their end, and may then predict anything.
        early = [i for i, end in enumerate(ends) if end < max(ends)]
        inputs, samples = [rows(x, early) for x in inputs], [samples[i] for i in early]
        found = adapter_of(model).probabilities(*inputs, samples)
        assert found.size(1) == max(ends[i] for i in early)


@pytest.mark.parametrize('kind', DECODERS)
def test_fast_decoding_stops_with_the_last_text(decoder, sample, kind):
    model = decoder(kind).eval()
    classifier = adapter_of(model).classifier
    inputs, samples = inputs_of(model, 3), [sample(domain='target') for _ in range(3)]
    nn.init.zeros_(classifier.weight)
    classifier.bias.data[model.dictionary.end_idx] = 9.0
    assert adapter_of(model).probabilities(*inputs, samples).size(1) == 1
    classifier.bias.data[0] = 99.0
    assert adapter_of(model).probabilities(*inputs, samples).size(1) == 8


@pytest.mark.parametrize('kind', ['NRTRDecoder', 'MasterDecoder'])
@pytest.mark.parametrize('seed', [0, 1, 3])
def test_transformers_that_predict_the_padding(decoder, sample, kind, seed):
    """NRTR then does not attend to that step; in MASTER that step attends to later ones."""
    torch.manual_seed(seed)
    model = decoder(kind).eval()
    padding = model.dictionary.padding_idx
    classifier = adapter_of(model).classifier
    with torch.no_grad():
        classifier.weight.mul_(10)
        classifier.bias.zero_()
        classifier.bias[padding] = 7.0
        classifier.bias[model.dictionary.end_idx] = -99.0
    samples = [sample(domain='target') for _ in range(8)]
    inputs = inputs_of(model, 8)
    wanted = model.forward_test(*inputs, samples)
    is_padding = wanted.argmax(-1) == padding
    assert is_padding[:, :-1].any() and not is_padding.all()
    torch.testing.assert_close(adapter_of(model).probabilities(*inputs, samples), wanted)


@pytest.mark.parametrize('kind', [*DECODERS, 'ABIFuser(language)'])
@pytest.mark.filterwarnings('ignore:padding does not exist')
def test_a_change_of_the_past_is_seen(decoder, sample, kind):
    """What a step is fed changes its logits and those of later steps, and no earlier one."""
    model = decoder(kind)
    adapter = adapter_of(model)
    if kind not in DECODERS:
        pytest.skip('all steps are predicted in parallel')
    inputs, samples = inputs_of(model, 2), [sample(domain='target') for _ in range(2)]
    with torch.no_grad():
        first, second = (
            adapter.run(*inputs, samples, lambda k, _: torch.full((2,), fed[k]), 8)[1]
            for fed in ([0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 9, 4, 5, 6, 7])
        )
    torch.testing.assert_close(first[:, :3], second[:, :3])
    for k in range(3, 8):
        assert (first[:, k] - second[:, k]).abs().max() > 1e-7


@pytest.mark.parametrize('kind', ['NRTRDecoder', 'MasterDecoder', 'ParallelSARDecoder'])
def test_a_subclass_with_another_computation_decodes_with_its_own_loop(decoder, sample, kind):
    model = decoder(kind).eval()
    inputs, samples = inputs_of(model, 2), [sample(domain='target') for _ in range(2)]
    plain = adapter_of(model).probabilities(*inputs, samples)

    class Mine(type(model)):
        def forward_test(self, *args):
            return super().forward_test(*args).flip(-1)

    class Alike(type(model)):
        def __init__(self):
            raise NotImplementedError

    model.__class__ = Alike
    assert torch.equal(adapter_of(model).probabilities(*inputs, samples), plain)
    model.__class__ = Mine
    found = adapter_of(model).probabilities(*inputs, samples)
    torch.testing.assert_close(found[:, : plain.size(1)].flip(-1), plain)
    with pytest.raises(ValueError, match=f'Mine cannot be aligned: it changes methods of {kind}'):
        adapter_of(model).check_characters()


def test_layers_that_normalize_afterwards_decode_with_their_own_loop(decoder, sample):
    model = decoder('NRTRDecoder').eval()
    for layer in model.layer_stack:
        layer.operation_order = ('self_attn', 'norm', 'enc_dec_attn', 'norm', 'ffn', 'norm')
    inputs, samples = inputs_of(model, 2), [sample(domain='target') for _ in range(2)]
    wanted = model.forward_test(*inputs, samples)
    assert torch.equal(adapter_of(model).probabilities(*inputs, samples), wanted)
    with pytest.raises(ValueError, match='operation_order that starts with norm'):
        adapter_of(model).check_characters()


def test_the_loop_of_mmocr_is_there_for_a_decoder_that_decodes_fast(decoder, sample):
    model = decoder('MasterDecoder').eval()
    model.cls.bias.data[model.PAD] = 99.0
    inputs, samples = inputs_of(model, 2), [sample(domain='target') for _ in range(2)]
    wanted = model.forward_test(*inputs, samples)
    assert decode_fast(model) == ['MasterDecoder']
    torch.testing.assert_close(model.forward_test(*inputs, samples), wanted)


def test_branches_of_another_kind_decode_with_their_own_loop(decoder):
    model = decoder('RobustScannerFuser')

    class Mine(type(model.hybrid_decoder)):
        def forward_test_step(self, *args):
            raise NotImplementedError

    assert adapter_of(model).can_step()
    model.hybrid_decoder.__class__ = Mine
    assert not adapter_of(model).can_step()
    with pytest.raises(ValueError, match='branches must be SequenceAttentionDecoder'):
        adapter_of(model).check_characters()


def test_beam_search_stays(decoder):
    model = decoder('ParallelSARDecoder')
    model.__class__ = ParallelSARDecoderWithBS
    assert not adapter_of(model).can_step()


def test_without_samples_nothing_is_masked(decoder, sample):
    for kind in ('ParallelSARDecoder', 'NRTRDecoder', 'RobustScannerFuser'):
        model = decoder(kind).eval()
        inputs = inputs_of(model, 2)
        wanted = adapter_of(model).probabilities(*inputs, [sample() for _ in range(2)])
        torch.testing.assert_close(adapter_of(model).probabilities(*inputs, None), wanted)


@pytest.mark.parametrize('kind', DECODERS)
def test_on_a_gpu_fast_decoding_asks_every_four_steps(decoder, sample, kind):
    model = decoder(kind).eval().float()
    samples = [sample(domain='target') for _ in range(2)]
    inputs = [None if x is None else x.float() for x in inputs_of(model, 2)]
    classifier = adapter_of(model).classifier
    nn.init.zeros_(classifier.weight)
    classifier.bias.data[model.dictionary.end_idx] = 9.0
    with emulated_cuda() as record:
        inputs = [None if x is None else on_cuda(x) for x in inputs]
        assert adapter_of(on_cuda(model)).probabilities(*inputs, samples).size(1) == 4
        padding = kind == 'MasterDecoder'  # whether a text has the padding before its end
        assert sum(record.waits('mmocr_da').values()) == 1 + padding, record.waits()


def with_gradient(module):
    return {name for name, parameter in module.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize('kind', ['ASTERDecoder', 'mmocr_da.AttentionDecoder'])
def test_recurrent_decoders_stop_when_all_have_ended(adaptive, batch, kind):
    model = adaptive(decoder=kind).eval()
    decoder = model.decoder
    data = batch(targets=0)
    feature_map = model.extract_feat(data['inputs'])
    sequence = model.encoder(feature_map, data['data_samples'])
    classifier = decoder.fc
    torch.nn.init.zeros_(classifier.weight)
    classifier.bias.data[decoder.dictionary.end_idx] = 9.0
    assert adapter_of(decoder).predict(feature_map, sequence, data['data_samples']).size(1) == 1
    classifier.bias.data[0] = 99.0
    assert adapter_of(decoder).predict(feature_map, sequence, data['data_samples']).size(1) == 8


@pytest.mark.parametrize('kind', ['ASTERDecoder', 'mmocr_da.AttentionDecoder'])
@pytest.mark.parametrize('wrong, steps', [(0.0, 4), (99.0, 8)])
def test_on_a_gpu_it_asks_once_whether_all_have_ended(adaptive, batch, kind, wrong, steps):
    """After the longest label, of 3 characters and the end token; or else it goes to the end."""
    model = adaptive(decoder=kind).eval()
    data = batch(('12', '345'), targets=0)
    samples = model.decoder.module_loss.get_targets(data['data_samples'])
    feature_map = model.extract_feat(data['inputs'])
    sequence = model.encoder(feature_map, samples)
    torch.nn.init.zeros_(model.decoder.fc.weight)
    model.decoder.fc.bias.data[model.decoder.dictionary.end_idx] = 9.0
    model.decoder.fc.bias.data[0] = wrong
    with emulated_cuda() as record:
        logits = adapter_of(on_cuda(model.decoder)).predict(
            on_cuda(feature_map.detach()),
            on_cuda(sequence.detach()),
            samples,
        )
        assert logits.size(1) == steps
        assert sum(record.waits().values()) == 1


def test_labels_do_not_steer_it(adaptive, batch):
    model = adaptive().eval()
    predictions = []
    for texts in (('12', '345'), ('9', '')):
        data = batch(texts, targets=0)
        model.decoder.module_loss.get_targets(data['data_samples'])
        feature_map = model.extract_feat(data['inputs'])
        sequence = model.encoder(feature_map, data['data_samples'])
        predictions.append(
            adapter_of(model.decoder).predict(feature_map, sequence, data['data_samples'])
        )
    assert torch.equal(*predictions)


def test_an_empty_batch(adaptive):
    model = adaptive()
    logits = adapter_of(model.decoder).predict(torch.zeros(0, 16, 1, 8), torch.zeros(0, 8, 16), [])
    assert len(logits) == 0 and logits.size(2) == model.decoder.dictionary.num_classes


def test_probabilities_are_float32_with_amp():
    prediction = GreedyPrediction(torch.randn(1, 2, 3).bfloat16(), [])
    assert prediction.probabilities.dtype == torch.float32
    torch.testing.assert_close(prediction.probabilities.sum(-1), torch.ones(1, 2))


@pytest.mark.parametrize('name', ['crnn/crnn_mini-vgg_5e_mj', 'svtr/svtr-tiny_20e_st_mj'])
def test_ctc_is_refused(name, mmocr_recognizer):
    decoder = MODELS.build(mmocr_recognizer(name)).decoder
    with pytest.raises(
        ValueError,
        match='LSEDLoss needs one step per character, got (CRNN|SVTR)'
        'Decoder with CTCModuleLoss.*use a recognizer with att',
    ):
        adapter_of(decoder).check_greedy('LSEDLoss')


def test_a_dictionary_without_an_end_is_refused(recognizer_cfg):
    decoder = MODELS.build(recognizer_cfg()).decoder
    decoder.dictionary = copy.copy(decoder.dictionary)
    decoder.dictionary.end_idx = None
    with pytest.raises(ValueError, match='end token.*got ASTERDecoder.*set with_end=True'):
        adapter_of(decoder).check_greedy('LSEDLoss')
