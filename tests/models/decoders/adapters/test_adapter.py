"""A custom decoder becomes known by a class of a few lines, and subclasses inherit adapters."""

import pytest
import torch
from mmocr.models.textrecog.decoders import ABIFuser, ASTERDecoder, NRTRDecoder
from mmocr.models.textrecog.decoders.base import BaseDecoder

from mmocr_da.models.decoders import DecoderAdapter, adapter_of, register_adapter
from mmocr_da.models.decoders.adapters import adapter as module
from mmocr_da.models.decoders.character_features import DecodedSteps
from mmocr_da.registry import MODELS

LOCAL = dict(type='mmocr_da.LocalAlignment', in_channels=16, threshold=0.0, schedule='constant')


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setattr(module, '_ADAPTERS', dict(module._ADAPTERS))


def test_a_subclass_of_a_known_decoder_has_its_adapter(adaptive, batch):
    @MODELS.register_module(force=True)
    class MyASTERDecoder(ASTERDecoder):
        pass

    model = adaptive(LOCAL, decoder='mmocr_da.MyASTERDecoder')
    assert adapter_of(model.decoder).name == 'MyASTERDecoder'
    assert model.loss(**batch())['loss_local'] > 0


def test_the_nearest_class_decides(adaptive):
    class MyASTERDecoder(ASTERDecoder):
        pass

    @register_adapter(MyASTERDecoder)
    class MyAdapter(DecoderAdapter):
        pass

    decoder = adaptive().decoder
    assert not isinstance(adapter_of(decoder), MyAdapter)
    decoder.__class__ = MyASTERDecoder
    assert isinstance(adapter_of(decoder), MyAdapter)


def test_the_classifier_of_a_greedy_pass_before_is_not_what_is_compared(digits_dictionary, sample):
    """An adapter whose labels are a prediction runs the classifier once per step, then again."""

    @register_adapter(NRTRDecoder)
    class TwoPasses(DecoderAdapter):
        has_characters, classifier_name = True, 'classifier'

        def decode_steps(self, feature_map, sequence, samples, labelled, valid_ratio):
            self.decoder.forward_test(feature_map, sequence, samples)
            logits = self.decoder.forward_train(feature_map, sequence, samples)
            is_character = torch.ones(logits.shape[:2], dtype=torch.bool)
            return DecodedSteps(None, logits, is_character, is_character, is_character.long())

    sizes = dict(d_embedding=8, n_head=2, d_model=8, d_inner=8, d_k=4, d_v=4)
    decoder = MODELS.build(
        dict(type='NRTRDecoder', n_layers=1, max_seq_len=8, dictionary=digits_dictionary, **sizes)
        | dict(module_loss=dict(type='CEModuleLoss'), postprocessor=None)
    ).eval()
    samples = [sample('12'), sample('3')]
    decoder.module_loss.get_targets(samples)
    adapter = adapter_of(decoder)
    out = adapter.decode(None, torch.randn(2, 5, 8), samples, [True] * 2, torch.ones(2), 'hidden')
    assert out.features.shape == (2, 8, 8)
    torch.testing.assert_close(decoder.classifier(out.features), out.logits)


def test_a_decoder_without_an_adapter_says_what_it_lacks():
    class Unknown(BaseDecoder):
        def __init__(self):
            torch.nn.Module.__init__(self)
            self.module_loss = None

    adapter = adapter_of(Unknown())
    assert not adapter.can_decode()
    with pytest.raises(ValueError, match='characters of Unknown cannot be aligned'):
        adapter.check_characters()
    with pytest.raises(ValueError, match='knows no final classifier of Unknown'):
        adapter.classifier_path
    with pytest.raises(ValueError, match="got Unknown alone; set representation='V'"):
        adapter.sequence_model()


@pytest.mark.parametrize('weight', [0.0, 1.0])
@pytest.mark.parametrize('texts', [(), ('12',)])
def test_the_losses_of_a_ctc_decoder_keep_their_name_without_labels(
    adaptive, batch, digits_dictionary, texts, weight
):
    ctc = dict(
        type='CRNNDecoder',
        in_channels=16,
        module_loss=dict(type='CTCModuleLoss'),
        postprocessor=dict(type='CTCPostProcessor'),
        dictionary=dict(digits_dictionary, with_start=False, with_end=False, same_start_end=False),
    )
    objective = dict(type='mmocr_da.GlobalAlignment', in_channels=16, schedule='constant')
    model = adaptive(objective, decoder=ctc, encoder=None, supervised_weight=weight)
    losses = model.loss(**batch(texts, 2))
    assert 'loss_ctc' in losses and 'loss_ce' not in losses
    assert (losses['loss_ctc'] == 0) == (not texts or weight == 0)


def test_every_adapter_is_reached_by_a_class_of_its_host():
    for decoder, adapter in module._ADAPTERS.items():
        assert issubclass(decoder, BaseDecoder) and issubclass(adapter, DecoderAdapter)
    assert {ABIFuser, ASTERDecoder, NRTRDecoder} <= set(module._ADAPTERS)


def test_the_confidence_of_a_word_is_that_of_its_steps_up_to_the_end(adaptive):
    decoder = adaptive().decoder
    end = decoder.dictionary.end_idx
    highest = torch.tensor([[0.9, 0.8, 0.7, 0.6], [0.9, 0.8, 0.7, 0.6], [1.0, 1.0, 1.0, 1.0]])
    classes = torch.tensor([[1, end, 2, end], [1, 2, 3, 4], [end, 1, 1, 1]])
    probabilities = confident(highest, classes, decoder.dictionary.num_classes)
    wanted = torch.tensor([0.72, 0.3024, 1])
    found = adapter_of(decoder).word_confidences(probabilities, torch.ones(3))
    torch.testing.assert_close(found, wanted)
    found = adapter_of(decoder).word_confidences(probabilities, torch.ones(3), True)
    torch.testing.assert_close(found, wanted ** (1 / torch.tensor([2, 4, 1])))


def test_the_confidence_of_ctc_is_the_probability_of_the_text(adaptive, crnn):
    """Of two frames, "1" has the paths "1-", "-1" and "11"; padding has no part in it."""
    decoder = adaptive(encoder=None, decoder=crnn).decoder
    blank, count = decoder.dictionary.padding_idx, decoder.dictionary.num_classes
    highest = torch.tensor([[0.9, 0.8, 0.5, 0.5], [1.0, 0.7, 1.0, 1.0]])
    probabilities = confident(highest, torch.tensor([[1, blank, 3, 3], [1, 1, blank, 2]]), count)
    rest = torch.tensor([0.1, 0.2]) / (count - 1)
    one = 0.9 * 0.8 + rest[0] * rest[1] + 0.9 * rest[1]
    two = torch.tensor(0.7 + 0.3 / (count - 1))  # the second frame of "12" is "1" or a blank
    found = adapter_of(decoder).word_confidences(probabilities, torch.tensor([0.5, 1.0]))
    torch.testing.assert_close(found[0], one)
    torch.testing.assert_close(found[1], two)
    roots = adapter_of(decoder).word_confidences(probabilities, torch.tensor([0.5, 1.0]), True)
    torch.testing.assert_close(roots, found ** (1 / torch.tensor([2, 3])))


def confident(highest, classes, count):
    """Probabilities ``(N, T, count)`` with these highest ones; the others are equal."""
    out = ((1 - highest) / (count - 1))[..., None].repeat(1, 1, count)
    return out.scatter(2, classes[..., None], highest[..., None])


def test_the_normalized_confidence_does_not_fall_with_the_length(adaptive):
    """Repeating what a word has, with its end as sure as its characters, changes nothing."""
    decoder = adaptive().decoder
    found = []
    for length in (1, 3, 7):
        probabilities = torch.full((1, length + 1, decoder.dictionary.num_classes), 0.01)
        probabilities[:, :-1, 3] = probabilities[:, -1, decoder.dictionary.end_idx] = 0.8
        found.append(adapter_of(decoder).word_confidences(probabilities, torch.ones(1), True))
    torch.testing.assert_close(torch.cat(found), torch.full((3,), 0.8))


def test_the_confidence_of_a_long_word_does_not_overflow(adaptive):
    decoder = adaptive().decoder
    classes = decoder.dictionary.num_classes
    probabilities = torch.full((1, 200, classes), 1 / classes, dtype=torch.half)
    probabilities[..., 1] += 1e-3  # the end token is never the highest
    found = adapter_of(decoder).word_confidences(probabilities, torch.ones(1))
    assert found.dtype == torch.float and found.item() == 0
