"""LS-ED on texts: encoding, metric, generator, learning."""

from functools import partial

import editdistance
import numpy as np
import pytest
import torch
from mmocr.models.common.dictionary import Dictionary
from mmocr.structures import TextRecogDataSample

from mmocr_da.models.surrogates import CharCNN, EditDistanceSurrogate
from mmocr_da.models.surrogates.edit_distance import WARMUP
from mmocr_da.registry import MODELS

SMALL = dict(channels=(8,) * 5, hidden_channels=16, out_channels=8, max_distance=4, warmup=0)


@pytest.fixture
def dictionary(digits_dictionary):
    return Dictionary(**{k: v for k, v in digits_dictionary.items() if k != 'type'})


@pytest.fixture
def surrogate(dictionary):
    return EditDistanceSurrogate(dictionary, 8, **SMALL)


def soft(texts, surrogate, sharpness=4.0):
    """Probabilities of a prediction whose best classes are the texts', and go on after the end."""
    rng = torch.Generator().manual_seed(0)
    logits = torch.rand(len(texts), 8, surrogate.num_classes, generator=rng)
    for row, text in enumerate(texts):
        for step, index in enumerate([*text, surrogate.dictionary.end_idx]):
            logits[row, step, index] = sharpness
        logits[row, len(text) + 1 :, 3] = sharpness
    return logits.softmax(-1)


def test_it_learns_from_the_standing_recognizer_first(dictionary):
    """Unless it has learned already, or the option says otherwise."""
    small = {key: value for key, value in SMALL.items() if key != 'warmup'}
    make = partial(EditDistanceSurrogate, dictionary, 8, **small)
    assert make().warmup == WARMUP == 500
    assert make(checkpoint='surrogate.pth').warmup == 0
    assert make(checkpoint='surrogate.pth', warmup=3).warmup == 3 and make(warmup=0).warmup == 0


# --------------------------------------------------------------------------- texts


def test_the_embedding_has_the_papers_layers():
    """Five convolutions with LeakyReLU, two fully connected layers, 1024 numbers."""
    dictionary = Dictionary('configs/_base_/dicts/digits.txt', with_end=True)
    net = EditDistanceSurrogate(dictionary, 26).embedding
    kinds = [type(m).__name__ for m in net.modules()]
    assert kinds.count('Conv1d') == 5 and kinds.count('Linear') == 2
    assert kinds.count('LeakyReLU') == 6
    assert net(torch.zeros(3, 26, dictionary.num_classes)).shape == (3, 1024)


def test_the_embedding_sees_order_and_every_step():
    net = CharCNN(5, 6, (8,) * 5, 16, 8)
    x = torch.rand(1, 6, 5, requires_grad=True)
    assert not torch.allclose(net(x), net(x.flip(1)))
    net(x).sum().backward()
    assert x.grad.any(-1).all()


def test_what_is_encoded_is_decoded(surrogate):
    texts = [(), (1,), (1, 2, 3), (9,) * 7]
    steps = surrogate.encode(texts)
    assert steps.shape == (4, 8, surrogate.num_classes) and surrogate.decode(steps) == texts
    # One row per character and one for the end token; nothing after it.
    assert steps.sum((1, 2)).tolist() == [1, 2, 4, 8]
    assert steps[2, 3, surrogate.dictionary.end_idx] == 1
    assert surrogate.decode(surrogate.encode([(1,) * 12])) == [(1,) * 8]


def test_nothing_after_the_first_end_token_counts(surrogate):
    probabilities = soft([(1, 2), ()], surrogate)
    z = surrogate.encode_prediction(probabilities)
    assert torch.equal(z[0, :3], probabilities[0, :3]) and not z[0, 3:].any()
    assert torch.equal(z[1, :1], probabilities[1, :1]) and not z[1, 1:].any()
    assert surrogate.decode(z) == [(1, 2), ()]
    cut = surrogate.encode_prediction(probabilities[:, :3])  # a decoder that stopped early
    assert torch.equal(cut, z)
    unended = surrogate.encode_prediction(soft([(1, 2, 5, 6)], surrogate)[:, :3])
    assert surrogate.decode(unended) == [(1, 2, 5)]


def test_gradients_reach_the_steps_that_are_read_and_no_others(surrogate):
    probabilities = soft([(1, 2, 3)], surrogate).requires_grad_()
    y = surrogate.encode([(1, 2, 4)])
    surrogate.frozen_distance(surrogate.encode_prediction(probabilities), y).sum().backward()
    assert probabilities.grad[0].any(-1).tolist() == [True] * 4 + [False] * 4


def test_the_metric_is_the_edit_distance_of_the_strings(surrogate, recognizer_cfg):
    """Of what MMOCR's postprocessor makes of the same probabilities."""
    decoder = MODELS.build(recognizer_cfg()).decoder
    rng = np.random.default_rng(0)
    predictions, texts = (
        [tuple(rng.integers(0, 10, rng.integers(0, 7))) for _ in range(20)] for _ in range(2)
    )
    probabilities = soft(predictions, surrogate)
    samples = decoder.postprocessor(probabilities, [TextRecogDataSample() for _ in predictions])
    strings = [s.pred_text.item for s in samples]
    wanted = [editdistance.eval(s, ''.join(map(str, t))) for s, t in zip(strings, texts)]
    found = surrogate.metric(surrogate.encode_prediction(probabilities), surrogate.encode(texts))
    assert found.tolist() == wanted and len(set(wanted)) > 3


def test_special_tokens_are_no_characters(surrogate):
    padding = surrogate.dictionary.padding_idx
    z = surrogate.encode_prediction(soft([(1, padding, 2)], surrogate))
    assert surrogate.decode(z) == [(1, 2)]
    unknown = surrogate.dictionary.unknown_idx
    assert surrogate.decode(surrogate.encode([(1, unknown)])) == [(1, unknown)]
    assert surrogate.generator.characters == list(range(10))


def test_generated_pairs_have_the_distance_they_say(surrogate):
    y = surrogate.encode([(1, 2, 3), (4, 5), ()] * 20)
    z, y_r, e = surrogate.generate(y, np.random.default_rng(0))
    assert len(z) == len(y) and torch.equal(surrogate.metric(z, y_r), e)
    assert set(e.tolist()) == {0, 1, 2, 3, 4}
    assert set(surrogate.decode(y_r)) == {(1, 2, 3), (4, 5), ()}


@pytest.mark.parametrize('length, largest', [(8, 7), (26, 10)])
def test_the_largest_distance_fits_the_longest_text(dictionary, length, largest):
    small = {k: v for k, v in SMALL.items() if k != 'max_distance'}
    assert EditDistanceSurrogate(dictionary, length, **small).generator.max_distance == largest


def test_a_lexicon_replaces_the_labels(dictionary, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmocr_da.models.surrogates.edit_distance.print_log',
        lambda message, **_: said.append(message),
    )
    path = tmp_path / 'words.txt'
    path.write_text('12\n\n345\n1a\n12345678\n')
    surrogate = EditDistanceSurrogate(dictionary, 8, lexicon=str(path), **SMALL)
    _, y, _ = surrogate.generate(surrogate.encode([(9,)] * 30), np.random.default_rng(0))
    assert set(surrogate.decode(y)) == {(1, 2), (3, 4, 5)}
    assert len(said) == 1 and said[0].startswith('2 of 4 words in')


def test_a_lexicon_of_other_characters_is_refused(dictionary, tmp_path):
    (tmp_path / 'words.txt').write_text('abc\nde\n')
    with pytest.raises(
        ValueError,
        match='lexicon must have words of the dictionary, of fewer than '
        '8 characters.*2 were skipped',
    ):
        EditDistanceSurrogate(dictionary, 8, lexicon=str(tmp_path / 'words.txt'), **SMALL)


def test_a_lexicon_is_read_in_the_case_of_the_recognizer(tmp_path):
    (tmp_path / 'dict.txt').write_text('a\nb\n')
    (tmp_path / 'words.txt').write_text('AB\nba\n')
    dictionary = Dictionary(str(tmp_path / 'dict.txt'), with_end=True)
    words = [
        EditDistanceSurrogate(
            dictionary,
            4,
            lexicon=str(tmp_path / 'words.txt'),
            letter_case=case,
            **{**SMALL, 'max_distance': 3},
        ).words
        for case in ('lower', 'unchanged')
    ]
    assert words == [[(0, 1), (1, 0)], [(1, 0)]]


def test_another_dictionary_is_another_surrogate(surrogate, dictionary, tmp_path):
    path = tmp_path / 's.pth'
    torch.save(dict(meta=dict(surrogate=surrogate.spec), state_dict=surrogate.state_dict()), path)
    EditDistanceSurrogate(dictionary, 8, checkpoint=str(path), **SMALL).init_weights()
    (tmp_path / 'dict.txt').write_text('\n'.join('1023456789'))
    other = Dictionary(
        str(tmp_path / 'dict.txt'),
        with_start=True,
        with_end=True,
        same_start_end=True,
        with_padding=True,
        with_unknown=True,
    )
    with pytest.raises(ValueError, match="classes=.*'0', '1'.*instead of.*'1', '0'"):
        EditDistanceSurrogate(other, 8, checkpoint=str(path), **SMALL).init_weights()
    with pytest.raises(ValueError, match='max_length=8 instead of 9'):
        EditDistanceSurrogate(dictionary, 9, checkpoint=str(path), **SMALL).init_weights()


def test_it_learns_the_edit_distance(dictionary, progress):
    """Of short words, in half a minute: order and value."""
    torch.manual_seed(0)
    surrogate = EditDistanceSurrogate(
        dictionary,
        6,
        max_distance=3,
        channels=(32,) * 5,
        hidden_channels=64,
        out_channels=64,
        gradient_weight=0.1,
    )
    optimizer = torch.optim.Adam(surrogate.parameters(), 2e-3)
    rng = np.random.default_rng(0)
    words = [tuple(rng.integers(0, 10, rng.integers(2, 5))) for _ in range(50)]
    history = []
    for _ in range(250):
        y = surrogate.encode([words[i] for i in rng.integers(0, 50, 64)])
        z, y, e = surrogate.generate(y, rng)
        estimate, square, penalty = surrogate.terms(z, y, e)
        optimizer.zero_grad()
        (square.mean() + 0.1 * penalty.mean()).backward()
        optimizer.step()
        history.append((estimate - e).abs().mean().item())
    assert np.mean(history[-20:]) < 0.6 and history[0] > 1.2
    means = [estimate[e == d].mean().item() for d in range(4)]
    assert means == sorted(means)


def test_descending_it_makes_fewer_edits(dictionary, progress):
    """Algorithm 1 on predictions that are free parameters: the gradients are useful."""
    torch.manual_seed(0)
    surrogate = EditDistanceSurrogate(
        dictionary,
        8,
        max_distance=4,
        channels=(32,) * 5,
        hidden_channels=64,
        out_channels=64,
        gradient_weight=1.0,
        warmup=60,
    )
    rng = np.random.default_rng(0)
    texts = [tuple(rng.integers(0, 10, rng.integers(2, 6))) for _ in range(32)]
    y = surrogate.encode(texts)
    misread = [surrogate.generator([text], 1, rng)[0][0] for text in texts]
    logits = 2 * surrogate.encode(misread)
    logits = (logits + torch.randn(logits.shape)).requires_grad_()
    learning = torch.optim.Adam(surrogate.parameters(), 2e-3)
    reader = torch.optim.Adam([logits], 0.05)
    teds = []
    for iteration in range(220):
        progress(iteration, 220)
        z = surrogate.encode_prediction(logits.softmax(-1))
        optimizer = learning if surrogate.learns else reader
        optimizer.zero_grad()
        if surrogate.learns:
            losses = surrogate.fit(z, y)
            (losses['loss_fit'] + losses['loss_gradient']).backward()
        else:
            surrogate.frozen_distance(z, y).mean().backward()
            teds.append(surrogate.metric(z, y).sum().item())
        optimizer.step()
    assert teds[0] > 50 and teds[-1] < 0.7 * teds[0]
