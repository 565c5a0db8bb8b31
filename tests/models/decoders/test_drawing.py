import pytest
import torch
from helpers.emulated_cuda import emulated_cuda, on_cuda
from mmocr.models.common.dictionary import Dictionary

from mmocr_da.models.decoders.drawing import (
    BestClasses,
    RandomDraws,
    special_classes,
    steps_until_end,
    words_in,
)

LOGITS = torch.tensor([[2.0, 0.0, 1.0], [-1.0, 3.0, 3.0]], dtype=torch.float64)


def dictionary(tmp_path, **options):
    (tmp_path / 'ab.txt').write_text('a\nb')
    return Dictionary(str(tmp_path / 'ab.txt'), **options)


def test_classes_are_drawn_as_often_as_they_are_probable():
    count = 40_000
    found = RandomDraws().classes(LOGITS[None].expand(count, -1, -1))
    assert found.shape == (count, 2)
    frequencies = torch.nn.functional.one_hot(found, 3).double().mean(0)
    p = LOGITS.softmax(-1)
    assert ((frequencies - p).abs() < 4 * (p * (1 - p) / count).sqrt()).all()
    # Rows do not depend on each other.
    both = torch.nn.functional.one_hot(found[:, 0] * 3 + found[:, 1], 9).double().mean(0)
    torch.testing.assert_close(both.view(3, 3), p[0][:, None] * p[1], atol=0.01, rtol=0)


def test_events_happen_with_their_probability():
    found = RandomDraws().events((100, 200), 0.3, torch.device('cpu'))
    assert found.dtype == torch.bool and abs(found.double().mean() - 0.3) < 0.02
    assert not RandomDraws().events((100,), 0.0, torch.device('cpu')).any()
    assert RandomDraws().events((100,), 1.0, torch.device('cpu')).all()


def test_classes_without_probability_are_never_drawn():
    logits = torch.tensor([0.0, -torch.inf, 1e4, 1e4]).expand(1000, -1)
    assert set(RandomDraws().classes(logits).tolist()) == {2, 3}


def test_draws_depend_on_the_iteration_alone(progress):
    logits = torch.zeros(50, 9)

    def drawn(iteration):
        progress(iteration, 10)
        torch.rand(iteration + 1)  # what else was drawn does not matter
        draws = RandomDraws()
        return draws.classes(logits), draws.classes(logits)

    first, second = drawn(1), drawn(2)
    assert all(torch.equal(a, b) for a, b in zip(first, drawn(1)))
    assert not torch.equal(*first) and not torch.equal(first[0], second[0])
    state = torch.get_rng_state()
    RandomDraws().classes(logits)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_device_has_the_draws_of_the_cpu_and_does_not_wait(progress):
    progress(1, 10)
    wanted = RandomDraws().classes(LOGITS)
    with emulated_cuda() as record:
        found = RandomDraws().classes(on_cuda(LOGITS))
        assert not record.waits()
    assert torch.equal(found.cpu(), wanted)


def test_the_best_class_is_no_draw():
    assert BestClasses().classes(LOGITS[:1]).tolist() == [0]


@pytest.mark.parametrize('same', [True, False])
def test_a_word_ends_with_the_first_end_token(tmp_path, same):
    known = dictionary(
        tmp_path, with_start=True, with_end=True, same_start_end=same, with_padding=True
    )
    start, end, padding = known.start_idx, known.end_idx, known.padding_idx
    assert special_classes(known) == {start, end, padding}
    rows = torch.tensor([[0, 1, end, 0], [end, 0, 0, 0], [padding, 1, 0, 1]])
    assert words_in(rows, known) == [(0, 1), (), (1, 0, 1)]
    assert steps_until_end(rows, known).tolist() == [
        [True, True, True, False],
        [True, False, False, False],
        [True, True, True, True],
    ]


def test_without_an_end_token_a_word_has_all_steps(tmp_path):
    known = dictionary(tmp_path)
    rows = torch.tensor([[0, 1, 1]])
    assert words_in(rows, known) == [(0, 1, 1)] and steps_until_end(rows, known).all()
    assert special_classes(known) == set()
