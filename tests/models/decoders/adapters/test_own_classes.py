"""Decoders that are fed classes of their own: drawn texts, and labels mixed with predictions."""

import pytest
import torch
from helpers.decoders import (
    ABINET,
    BACKWARDS,
    CTC,
    DECODERS,
    ISOLATED,
    STEPWISE,
    inputs_of,
    prepared,
    rows,
)
from helpers.draws import Scripted, all_texts

from mmocr_da.models.decoders import adapter_of
from mmocr_da.models.decoders.adapters.tokens import samples_of
from mmocr_da.models.decoders.adapters.transformer import TransformerAdapter
from mmocr_da.models.decoders.drawing import BestClasses, RandomDraws
from mmocr_da.registry import MODELS

RECURRENT = [k for k in DECODERS if k not in ('NRTRDecoder', 'MasterDecoder')]
TRANSFORMERS = ['NRTRDecoder', 'MasterDecoder']


@pytest.fixture
def tiny(decoder_cfg, tmp_path):
    """A decoder of the classes a, b, end and padding with three steps; of CTC a, b and blank."""
    (tmp_path / 'ab.txt').write_text('a\nb')

    def make(kind):
        small = dict(dict_file=str(tmp_path / 'ab.txt'), with_unknown=False)
        cfg = decoder_cfg(kind, dictionary=small)
        if kind in STEPWISE:
            cfg['max_seq_len'] = 3
        for part in ('vision_decoder', 'language_decoder'):
            if part in cfg:
                cfg[part]['max_seq_len'] = 3
        model = prepared(MODELS.build(cfg).train())
        for module in model.modules():  # those of ABINet, which cannot train on one image
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
        with torch.no_grad():  # not all classes as probable as each other
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(1.5)
        return model if kind in ('ASTERDecoder', 'MasterDecoder') else model.double()

    return make


def one_image(model, count=1, width=8):
    feature_map, sequence = inputs_of(model, 1, width)
    return [None if x is None else x.expand(count, *x.shape[1:]) for x in (feature_map, sequence)]


def accuracy_of(model):
    is_double = next(model.parameters()).dtype == torch.float64
    return dict(rtol=1e-9, atol=1e-9) if is_double else dict(rtol=1e-4, atol=1e-4)


# --------------------------------------------------------------------------- drawn texts


@pytest.mark.parametrize('kind', STEPWISE)
def test_the_probabilities_of_all_texts_are_those_of_training_and_add_up_to_one(tiny, sample, kind):
    model = tiny(kind)
    dictionary = model.dictionary
    assert dictionary.num_classes == 4
    texts = all_texts(4, dictionary.end_idx, 3)
    assert len(texts) == 40
    memory = one_image(model)
    samples = [sample(domain='target')]
    drawn = adapter_of(model).draw_texts(*memory, samples, Scripted(texts), len(texts))
    found = drawn.log_probabilities
    assert found.shape == (1, 40) and len(drawn.words) == 1
    torch.testing.assert_close(found.exp().sum(), found.new_ones(()), **accuracy_of(model))
    for text, word, value in zip(texts.tolist(), drawn.words[0], found[0]):
        end = text.index(dictionary.end_idx) if dictionary.end_idx in text else 3
        assert word == tuple(c for c in text[:end] if c < 2)
        if dictionary.padding_idx in text[:end] and kind == 'MasterDecoder':
            continue  # its mask is not causal there; such a text has the probability 0
        fed = torch.tensor([[dictionary.start_idx, *text[:2]]])
        output = model.forward_train(*memory, samples_of(fed, samples))
        log_p = adapter_of(model).final_logits(output).log_softmax(-1)
        wanted = sum(log_p[0, step, text[step]] for step in range(min(end + 1, 3)))
        torch.testing.assert_close(value, wanted, **accuracy_of(model))


@pytest.mark.parametrize('ratio, frames', [(1.0, 3), (0.6, 2)])
@pytest.mark.parametrize('kind', CTC)
def test_the_probability_of_a_text_of_ctc_is_the_sum_over_its_paths(
    tiny, sample, kind, ratio, frames
):
    model = tiny(kind)
    blank = model.dictionary.padding_idx
    assert model.dictionary.num_classes == 3
    paths = torch.cartesian_prod(*[torch.arange(3)] * 3)
    memory = one_image(model, width=3)
    samples = [sample(domain='target', valid_ratio=ratio)]
    drawn = adapter_of(model).draw_texts(*memory, samples, Scripted(paths), len(paths))
    log_p = model.forward_train(*memory).log_softmax(-1)[0]
    wanted, of_path = {}, {}
    for path in map(tuple, paths.tolist()):
        kept = [c for i, c in enumerate(path[:frames]) if i == 0 or c != path[i - 1]]
        of_path[path] = word = tuple(c for c in kept if c != blank)
        if path[frames:] == (0,) * (3 - frames):  # each path over the frames once
            value = sum(log_p[i, c] for i, c in enumerate(path[:frames])).exp()
            wanted[word] = wanted.get(word, 0) + value
    torch.testing.assert_close(sum(wanted.values()), log_p.new_ones(()))
    for path, word, value in zip(of_path, drawn.words[0], drawn.log_probabilities[0]):
        assert word == of_path[path]
        torch.testing.assert_close(value.exp(), wanted[word])


@pytest.mark.parametrize('kind', [*STEPWISE, *CTC])
def test_texts_are_drawn_as_often_as_they_are_probable(tiny, sample, kind):
    model, count = tiny(kind), 3000
    memory = one_image(model, width=3)
    drawn = adapter_of(model).draw_texts(*memory, [sample(domain='target')], RandomDraws(), count)
    found, probability = {}, {}
    for word, value in zip(drawn.words[0], drawn.log_probabilities[0].exp().tolist()):
        found[word] = found.get(word, 0) + 1
        # Special tokens within a text do not show, so that a word may be several texts.
        probability.setdefault(word, set()).add(round(value, 6))
    for word, number in found.items():
        p = sum(probability[word])
        assert abs(number / count - p) < 5 * (p / count) ** 0.5 + 5 / count, word
    assert len(found) > 4


@pytest.mark.parametrize('kind', STEPWISE)
def test_images_and_their_texts_stay_in_order(tiny, sample, kind):
    """Those of the second image alone are the same."""
    model = tiny(kind).eval()
    inputs = inputs_of(model, 2)
    texts = all_texts(4, model.dictionary.end_idx, 3)[:6]
    both = adapter_of(model).draw_texts(
        *inputs, [sample(), sample()], Scripted(torch.cat([texts, texts])), 6
    )
    alone = adapter_of(model).draw_texts(
        *[rows(x, slice(1, 2)) for x in inputs], [sample()], Scripted(texts), 6
    )
    torch.testing.assert_close(both.log_probabilities[1:], alone.log_probabilities)
    assert both.words[1] == alone.words[0] == both.words[0]
    assert not torch.equal(both.log_probabilities[0], both.log_probabilities[1])


@pytest.mark.parametrize('kind', [*STEPWISE, *CTC])
def test_the_gradient_of_a_drawn_text_arrives(tiny, sample, kind):
    model = tiny(kind)
    memory = [x if x is None else x.requires_grad_() for x in inputs_of(model, 2, 3)]
    drawn = adapter_of(model).draw_texts(*memory, [sample(), sample()], RandomDraws(), 3)
    drawn.log_probabilities.sum().backward()
    assert any(x is not None and x.grad is not None and x.grad.any() for x in memory)
    assert adapter_of(model).classifier.weight.grad.any()


@pytest.mark.parametrize('kind', DECODERS)
def test_the_best_classes_are_greedy_decoding(decoder, sample, kind):
    model = decoder(kind)
    inputs, samples = inputs_of(model, 3), [sample() for _ in range(3)]
    logits, classes = adapter_of(model).draw_steps(*inputs, samples, BestClasses())
    torch.testing.assert_close(logits, adapter_of(model).predict(*inputs, samples))
    assert logits.shape[:2] == classes.shape
    torch.testing.assert_close(classes, logits.argmax(-1))


# --------------------------------------------------------------------------- mixed with labels


def labelled(model, texts, sample):
    samples = [sample(text) for text in texts]
    model.module_loss.get_targets(samples)
    return samples


@pytest.mark.parametrize('kind', DECODERS)
def test_fed_the_labels_alone_it_is_the_decoder_in_training(decoder, sample, kind):
    model = decoder(kind)
    inputs, samples = inputs_of(model, 3), labelled(model, ('12', '3456', '7'), sample)
    output = adapter_of(model).mixed_output(*inputs, samples, 1.0, RandomDraws())
    wanted = model.forward_train(*inputs, samples)
    assert output.size(1) == 5
    for row, length in enumerate((3, 5, 2)):  # MASTER's steps after the end depend on later ones
        torch.testing.assert_close(output[row, :length], wanted[row, :length])
    losses = [adapter_of(model).loss(x, samples)['loss_ce'] for x in (output, wanted)]
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize('kind', RECURRENT)
def test_a_recurrent_decoder_without_a_label_is_fed_its_own_text(decoder, sample, kind):
    model = decoder(kind)
    if kind == 'ParallelSARDecoder':
        model.pred_dropout.p = 0.0
    inputs, samples = inputs_of(model, 3), labelled(model, ('12', '3456', '7'), sample)
    output = adapter_of(model).mixed_output(*inputs, samples, 0.0, BestClasses())
    wanted = adapter_of(model).predict(*inputs, samples)
    steps = min(5, wanted.size(1))
    torch.testing.assert_close(output[:, :steps], wanted[:, :steps])


@pytest.mark.parametrize('kind', TRANSFORMERS)
def test_a_transformer_without_a_label_is_fed_its_first_pass(decoder, sample, kind):
    model = decoder(kind)
    inputs, samples = inputs_of(model, 2), labelled(model, ('12', '345'), sample)
    assert isinstance(adapter_of(model), TransformerAdapter)
    output = adapter_of(model).mixed_output(*inputs, samples, 0.0, BestClasses())
    own = model.forward_train(*inputs, samples)[:, :4].argmax(-1)
    fed = torch.cat([torch.full_like(own[:, :1], model.dictionary.start_idx), own[:, :3]], 1)
    wanted = model.forward_train(*inputs, samples_of(fed, samples))
    assert output.requires_grad
    for row, length in enumerate((3, 4)):
        torch.testing.assert_close(output[row, :length], wanted[row, :length])


@pytest.mark.parametrize('kind', DECODERS)
def test_each_step_is_fed_either_its_label_or_the_own_class(decoder, sample, kind):
    """Both are drawn; here the label comes at every second step, and the second best class."""
    model = decoder(kind)
    inputs, samples = inputs_of(model, 2), labelled(model, ('123', '456'), sample)

    def second(logits):
        return logits.detach().topk(2).indices[..., 1]

    class EverySecond(RandomDraws):
        def classes(self, logits):
            return second(logits)

        def events(self, shape, probability, device):
            # A transformer does not draw for the first step, which is fed the start token.
            first = 0 if shape[-1] == 8 else 1
            return ((torch.arange(shape[-1]) + first) % 2 == 0).expand(*shape)

    adapter = adapter_of(model)
    fed = torch.stack([s.gt_text.padded_indexes for s in samples])
    output = adapter.mixed_output(*inputs, samples, 0.5, EverySecond())
    if isinstance(adapter, TransformerAdapter):
        own = second(model.forward_train(*inputs, samples)[:, :4])
    else:
        own = second(output)
    for k in (1, 3):
        fed[:, k] = own[:, k - 1]
    wanted = model.forward_train(*inputs, samples_of(fed, samples))[:, :4]
    torch.testing.assert_close(output, wanted)


# --------------------------------------------------------------------------- refused


@pytest.mark.parametrize('kind', [*CTC, *ABINET, ISOLATED])
def test_decoders_that_are_fed_nothing_are_refused(decoder, kind):
    with pytest.raises(ValueError, match='^X needs a decoder that is fed .* got .*Decoder|ABIFuse'):
        adapter_of(decoder(kind)).check_feeding('X')


def test_texts_are_drawn_of_all_others(decoder):
    for kind in [*STEPWISE, *CTC]:
        adapter_of(decoder(kind)).check_drawing('X')
    with pytest.raises(ValueError, match='^X needs a decoder that is fed'):
        adapter_of(decoder(ISOLATED)).check_drawing('X')


def test_a_ctc_decoder_with_another_loss_is_refused(decoder_cfg):
    cfg = dict(decoder_cfg('CRNNDecoder'), module_loss=dict(type='CEModuleLoss', pad_with='none'))
    with pytest.raises(ValueError, match='X needs the loss of CTC.*got CEModuleLoss'):
        adapter_of(MODELS.build(cfg)).check_drawing('X')


def test_steps_that_see_later_characters_are_refused(decoder):
    for check in ('check_feeding', 'check_drawing'):
        with pytest.raises(ValueError, match='X .*: with dec_bi_rnn=True a step sees the labels'):
            getattr(adapter_of(decoder(BACKWARDS)), check)('X')


def test_a_text_needs_an_end(decoder_cfg):
    cfg = decoder_cfg('mmocr_da.AttentionDecoder')
    cfg['dictionary'].update(with_end=False, same_start_end=False)
    with pytest.raises(ValueError, match='X needs an end token'):
        adapter_of(MODELS.build(cfg)).check_drawing('X')


def test_the_samples_are_not_changed(decoder, sample):
    model = decoder('NRTRDecoder')
    samples = [sample(domain='target')]
    adapter_of(model).draw_steps(*inputs_of(model, 1), samples, RandomDraws())
    assert 'padded_indexes' not in samples[0].gt_text
