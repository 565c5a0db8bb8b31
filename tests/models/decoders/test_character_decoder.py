import warnings

import pytest
import torch
from mmengine.structures import LabelData
from mmocr.structures import TextRecogDataSample

from mmocr_da.registry import MODELS


@pytest.fixture
def dictionary(tmp_path):
    (tmp_path / 'abc.txt').write_text('a\nb\nc')
    return dict(type='Dictionary', dict_file=str(tmp_path / 'abc.txt'))


@pytest.fixture
def decoder(dictionary):

    def make(**loss):
        return MODELS.build(
            dict(
                type='mmocr_da.CharacterDecoder',
                in_channels=5,
                dictionary=dictionary,
                module_loss=dict(
                    type='CEModuleLoss',
                    pad_with='none',
                    ignore_char=-1,
                    flatten=True,
                    reduction='mean',
                    **loss,
                ),
                postprocessor=dict(type='AttentionPostprocessor', ignore_chars=[]),
            )
        ).double()

    return make


def labelled(*texts):
    return [
        TextRecogDataSample(gt_text=LabelData(item=text), metainfo=dict(img_path=f'{text}.png'))
        for text in texts
    ]


def maps(count):
    return torch.randn(count, 5, 4, 3, dtype=torch.double)


def test_the_loss_is_the_cross_entropy_of_the_mean_of_the_map(decoder):
    model, feat = decoder().train(), maps(3)
    loss = model.loss(feat, None, labelled('c', 'a', 'b'))['loss_ce']
    expected = 0
    for image, index in zip(feat, (2, 0, 1)):
        mean = sum(image[:, y, x] for y in range(4) for x in range(3)) / 12
        scores = model.fc.weight @ mean + model.fc.bias
        expected -= (scores[index].exp() / scores.exp().sum()).log() / 3
    torch.testing.assert_close(loss, expected)


def test_it_reads_the_most_probable_character(decoder):
    model, feat = decoder().eval(), maps(6)
    probabilities = model(feat, None, labelled(*'abcabc'))
    assert probabilities.shape == (6, 1, 3)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(6, 1, dtype=torch.double))
    read = model.predict(feat, None, labelled(*'abcabc'))
    best = (feat.mean((2, 3)) @ model.fc.weight.T + model.fc.bias).argmax(1)
    assert [sample.pred_text.item for sample in read] == ['abc'[i] for i in best]


def test_where_in_the_map_a_feature_is_does_not_matter(decoder):
    model, feat = decoder().eval(), maps(2)
    shuffled = feat.flatten(2)[:, :, torch.randperm(12)].view_as(feat)
    torch.testing.assert_close(model(feat), model(shuffled))


def test_the_map_of_an_encoder_comes_first(decoder):
    model, feat, encoded = decoder().eval(), maps(2), maps(2)
    assert torch.equal(model(feat, encoded), model(encoded))


def test_letter_case_is_the_losses(decoder):
    model, feat = decoder(letter_case='lower').train(), maps(2)
    losses = [model.loss(feat, None, labelled(*texts))['loss_ce'] for texts in ('aB', 'Ab')]
    assert torch.equal(*losses)


def test_nothing_is_warned_of(decoder):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        decoder()


@pytest.mark.parametrize('text, length', [('ab', 2), ('', 0)])
def test_a_text_that_is_no_character(decoder, text, length):
    with pytest.raises(ValueError, match=f"'{text}' of {text}.png, which has {length}.*remove"):
        decoder().train().loss(maps(2), None, labelled('a', text))


@pytest.mark.parametrize('token', ['with_end', 'with_padding'])
def test_other_dictionaries(dictionary, token):
    cfg = dict(
        type='mmocr_da.CharacterDecoder',
        in_channels=5,
        module_loss=dict(type='CEModuleLoss', flatten=True, ignore_char='none'),
    )
    model = MODELS.build(dict(cfg, dictionary=dict(dictionary, **{token: True}))).double().train()
    assert model.loss(maps(1), None, labelled('b'))['loss_ce'].isfinite()
    # The loss alone would cut it to its first character.
    with pytest.raises(ValueError, match="'bc'"):
        model.loss(maps(1), None, labelled('bc'))
    with pytest.raises(ValueError, match='without a start token'):
        MODELS.build(dict(cfg, dictionary=dict(dictionary, with_start=True, with_padding=True)))
