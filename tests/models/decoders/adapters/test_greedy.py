"""Greedy decoding with gradients, as in testing, for every decoder with a step per character."""

import copy

import pytest
import torch
from helpers.emulated_cuda import emulated_cuda, on_cuda
from mmocr.structures import TextRecogDataSample

from mmocr_da.models.decoders import GreedyPrediction, adapter_of
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
