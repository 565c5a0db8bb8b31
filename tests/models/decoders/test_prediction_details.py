"""Details of predictions: those of the texts, for every decoder, and nothing else changes."""

import copy
from itertools import groupby

import pytest
import torch
from mmocr.structures import TextRecogDataSample

from mmocr_da.models.decoders import keeping_details
from mmocr_da.models.decoders.prediction_details import predicted_steps
from mmocr_da.registry import MODELS

RECOGNIZERS = {
    'aster/aster_resnet45_6e_st_mj': 'AB',
    'nrtr/nrtr_resnet31-1by8-1by4_6e_st_mj': 'AB',
    'master/master_resnet31_12e_st_mj_sa': 'AB',
    'robust_scanner/robustscanner_resnet31_5e_st-sub_mj-sub_sa_real': 'AB',
    'sar/sar_resnet31_parallel-decoder_5e_st-sub_mj-sub_sa_real': 'AB',
    'sar/sar_resnet31_sequential-decoder_5e_st-sub_mj-sub_sa_real': 'AB',
    'abinet/abinet_20e_st-an_mj': 'AB',
    'crnn/crnn_mini-vgg_5e_mj': 'CTC',
    'svtr/svtr-tiny_20e_st_mj': 'CTC',
}


def samples_of(ratios):
    return [TextRecogDataSample(metainfo=dict(valid_ratio=ratio)) for ratio in ratios]


@pytest.mark.slow
@pytest.mark.parametrize('name', RECOGNIZERS)
def test_every_recognizer_of_mmocr_keeps_the_rows_of_its_characters(name, mmocr_recognizer):
    model = MODELS.build(mmocr_recognizer(name)).eval()
    check_rows(model, torch.randn(3, 1 if 'crnn' in name else 3, 32, 128))


def check_rows(model, images):
    with torch.no_grad():
        for parameter in model.decoder.parameters():  # or a fresh one repeats one character
            if parameter.dim() > 1:
                parameter.mul_(1.5)
    ratios = [(1.0, 0.6, 0.3)[i % 3] for i in range(len(images))]
    with torch.no_grad():
        wanted = model.predict(images, samples_of(ratios))
        with keeping_details(model):
            found = model.predict(images, samples_of(ratios))
        after = model.predict(images, samples_of(ratios))
    assert any(sample.pred_text.item for sample in wanted)
    for plain, kept, again in zip(wanted, found, after):
        text = kept.pred_text
        assert text.item == plain.pred_text.item and text.score == plain.pred_text.score
        assert 'feature' not in plain and again.keys() == plain.keys()
        rows = text.probabilities
        assert len(rows) == len(text.score)
        torch.testing.assert_close(rows.sum(1), torch.ones(len(rows)))
        dictionary = model.decoder.dictionary
        assert dictionary.idx2str(rows.argmax(1).tolist()) == text.item
        # MMOCR's score of a character is that of its first frame.
        assert (rows.max(1).values >= torch.tensor(text.score) - 1e-6).all()
        assert 0 <= text.confidence <= 1
        assert kept.feature.dim() == 1 and kept.feature.isfinite().all()
    return found


@pytest.mark.parametrize('decoder', ['ASTERDecoder', 'CRNNDecoder'])
def test_details_are_those_of_the_text(recognizer_cfg, crnn, decoder):
    cfg = recognizer_cfg()
    if decoder == 'CRNNDecoder':
        cfg.update(encoder=None, decoder=crnn)
    model = MODELS.build(cfg).eval()
    check_rows(model, torch.randn(9, 1, 16, 32))


def oracle(classes, highest, blank, count):
    """The most certain frame of each run of a character, by a loop."""
    out, start = [], 0
    for key, group in groupby(classes[:count]):
        size = len(list(group))
        if key != blank:
            out.append(max(range(start, start + size), key=lambda t: (highest[t], -t)))
        start += size
    return out


def test_ctc_takes_the_most_certain_frame_of_each_run(crnn):
    decoder = MODELS.build(crnn)
    blank = decoder.dictionary.padding_idx
    classes = torch.randint(0, 3, (40, 12))
    classes[classes == 2] = blank
    probabilities = torch.rand(40, 12, decoder.dictionary.num_classes) * 0.1
    # Of few values, so that some frames of a run are equal.
    highest = torch.randint(5, 9, (40, 12)) / 10
    probabilities.scatter_(2, classes[..., None], highest[..., None])
    ratio = torch.tensor([1.0, 0.5] * 20)
    found = predicted_steps(decoder, probabilities, ratio)
    for row in range(40):
        count = 12 if ratio[row] == 1 else 6
        expected = oracle(classes[row].tolist(), highest[row].tolist(), blank, count)
        assert found[row].nonzero().flatten().tolist() == expected


def test_attention_takes_the_steps_before_the_end(recognizer_cfg):
    decoder = MODELS.build(recognizer_cfg()['decoder'])
    end, padding = decoder.dictionary.end_idx, decoder.dictionary.padding_idx
    classes = torch.tensor([[1, padding, 2, end, 3], [end, 1, 1, 1, 1], [4, 4, 5, 5, 6]])
    probabilities = torch.nn.functional.one_hot(classes, decoder.dictionary.num_classes).float()
    found = predicted_steps(decoder, probabilities, torch.ones(3))
    assert found.tolist() == [
        [True, False, True, False, False],
        [False] * 5,
        [True] * 5,
    ]


@pytest.mark.parametrize('ignored', [['padding'], ['padding', 'end', 'unknown'], ['padding', '3']])
@pytest.mark.parametrize('kind', ['attention', 'ctc'])
def test_the_steps_are_those_that_mmocr_takes(recognizer_cfg, crnn, kind, ignored):
    cfg = crnn if kind == 'ctc' else recognizer_cfg()['decoder']
    if kind == 'ctc':
        ignored = [name for name in ignored if name != 'end']  # there is none
    cfg['postprocessor'] = dict(cfg['postprocessor'], ignore_chars=ignored)
    decoder = MODELS.build(cfg)
    classes = decoder.dictionary.num_classes
    probabilities = (3 * torch.randn(200, 9, classes)).softmax(-1)
    ratio = torch.rand(200)
    found = predicted_steps(decoder, probabilities, ratio)
    for row, sample in enumerate(samples_of(ratio.tolist())):
        index, score = decoder.postprocessor.get_single_prediction(probabilities[row], sample)
        rows = probabilities[row][found[row]]
        assert rows.argmax(1).tolist() == index
        if kind == 'attention':
            assert rows.amax(1).tolist() == score


def test_the_feature_is_the_mean_over_what_is_no_padding(recognizer_cfg, crnn):
    model = MODELS.build(dict(recognizer_cfg(), encoder=None, decoder=crnn)).eval()
    images = torch.randn(2, 1, 16, 32)
    with torch.no_grad(), keeping_details(model):
        found = model.predict(images, samples_of([1.0, 0.5]))
        feature_map = model.extract_feat(images)
    width = feature_map.size(-1) // 2
    torch.testing.assert_close(found[0].feature, feature_map[0].mean((1, 2)))
    torch.testing.assert_close(found[1].feature, feature_map[1, ..., :width].mean((1, 2)))


def test_a_teacher_keeps_details_too(adaptive, batch):
    model = adaptive(dict(type='mmocr_da.SelfTraining', predict_with='teacher')).eval()
    model.init_weights()
    with torch.no_grad(), keeping_details(model):
        samples = model.predict(**batch())
    assert all(len(s.pred_text.probabilities) == len(s.pred_text.score) for s in samples)


def test_each_classifier_of_symnet_has_its_own(adaptive, batch):
    model = adaptive(dict(type='mmocr_da.SymNetHead')).eval()
    for bias, best in ((model.decoder.fc.bias, 3), (model.objectives.symnet.classifier.bias, 4)):
        bias.data[best] = 20.0
    with torch.no_grad(), keeping_details(model):
        (sample, *_) = model.predict(**batch())
    for text, best in ((sample.pred_text_source, 3), (sample.pred_text_target, 4)):
        assert text.item == f'{best}' * 8
        assert text.probabilities.argmax(1).tolist() == [best] * 8


def test_a_model_is_as_before_also_after_an_error(recognizer_cfg, batch):
    model = MODELS.build(recognizer_cfg()).eval()
    before = set(vars(model.decoder))
    with pytest.raises(ZeroDivisionError), keeping_details(model):
        assert set(vars(model.decoder)) - before == {'predict'}
        raise ZeroDivisionError
    assert set(vars(model.decoder)) == before
    assert copy.deepcopy(model).predict(**batch())
