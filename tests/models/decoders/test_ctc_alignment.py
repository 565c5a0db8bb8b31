"""The path is the best one (brute force, slow Viterbi, ctc_loss) and reads the label."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from mmocr_da.models.decoders.ctc_alignment import best_alignment, greedy_log_likelihood


def collapse(path, blank):
    """What CTC reads in a path: runs become one class, then blanks go."""
    return [k for k, _ in itertools.groupby(path) if k != blank]


def path_score(log_probs, path):
    return sum(float(frame[k]) for frame, k in zip(log_probs, path))


def slow_viterbi(log_probs, label, blank):
    """Score of the best path, in Python floats; -inf if there is none."""
    states = [blank]
    for k in label:
        states += [k, blank]
    rows = log_probs.tolist()
    score = [rows[0][k] if s < 2 else -math.inf for s, k in enumerate(states)]
    for row in rows[1:]:
        new = []
        for s, k in enumerate(states):
            into = score[max(s - 1, 0) : s + 1]
            if s > 1 and k not in (blank, states[s - 2]):
                into.append(score[s - 2])
            new.append(max(into) + row[k])
        score = new
    return max(score[-2:])


def align_one(log_probs, label, blank, frames=None):
    """One image and a list of classes; returns a list."""
    targets = torch.tensor([label], dtype=torch.long).reshape(1, len(label))
    frames = torch.tensor([len(log_probs) if frames is None else frames])
    return best_alignment(log_probs[None], targets, frames, torch.tensor([len(label)]), blank)[
        0
    ].tolist()


def random_batch(
    seed=0, count=32, steps=25, classes=6, longest=12, blank=2, dtype=torch.float64, sharpness=2.0
):
    """Images of any width with labels of any length: with few classes many neighbours are equal,
    and some labels have no path."""
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, steps, classes, generator=g, dtype=torch.float64) * sharpness
    targets = torch.randint(classes - 1, (count, longest), generator=g)
    targets += targets >= blank
    frames = torch.randint(1, steps + 1, (count,), generator=g)
    lengths = torch.randint(0, longest + 1, (count,), generator=g)
    return logits.log_softmax(-1).to(dtype), targets, frames, lengths, blank


def needed_frames(label):
    return len(label) + sum(a == b for a, b in zip(label, label[1:]))


def images(log_probs, targets, frames, lengths, blank):
    """(log-probabilities without padding, label as a list) of each image."""
    for row, label, t, n in zip(log_probs, targets, frames, lengths):
        yield row[:t], label[:n].tolist()


@pytest.mark.parametrize('blank', [0, 1, 2])
def test_no_path_is_better(blank):
    g = torch.Generator().manual_seed(blank)
    characters = [k for k in range(3) if k != blank]
    for steps in range(1, 6):
        paths = {}
        for path in itertools.product(range(3), repeat=steps):
            paths.setdefault(tuple(collapse(path, blank)), []).append(path)
        for length in range(5):
            for label in itertools.product(characters, repeat=length):
                log_probs = torch.randn(steps, 3, generator=g, dtype=torch.float64).log_softmax(-1)
                found = align_one(log_probs, list(label), blank)
                if label not in paths:
                    assert found == [-1] * steps
                    continue
                assert tuple(found) in paths[label]
                best = max(path_score(log_probs, path) for path in paths[label])
                assert path_score(log_probs, found) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize(
    'case',
    [
        dict(seed=1),
        dict(seed=2, classes=3),
        dict(seed=3, blank=5),
        dict(seed=4, steps=60, classes=38, longest=25, blank=0),
    ],
)
def test_path_reads_the_label_and_scores_as_in_a_slow_search(case):
    batch = random_batch(**case)
    found = best_alignment(*batch)
    feasible = 0
    for path, (log_probs, label) in zip(found.tolist(), images(*batch)):
        steps, blank = len(log_probs), batch[-1]
        assert path[steps:] == [-1] * (len(path) - steps)
        best = slow_viterbi(log_probs, label, blank)
        if needed_frames(label) > steps:
            assert best == -math.inf and set(path) == {-1}
            continue
        feasible += 1
        assert collapse(path[:steps], blank) == label
        assert path_score(log_probs, path) == pytest.approx(best, abs=1e-9)
    assert 4 < feasible < len(found)


def test_parts_of_the_path_are_best_for_their_part_of_the_label():
    batch = random_batch(seed=5, blank=0)
    parts = 0
    for path, (log_probs, label) in zip(best_alignment(*batch).tolist(), images(*batch)):
        steps = len(log_probs)
        # A part is free to be any path of its reading if there is a blank beyond the cut.
        free = [slice(0, cut) for cut in range(1, steps) if path[cut] == 0]
        free += [slice(cut, steps) for cut in range(1, steps) if path[cut - 1] == 0]
        for part in free:
            best = slow_viterbi(log_probs[part], collapse(path[part], 0), 0)
            assert path_score(log_probs[part], path[part]) == pytest.approx(best, abs=1e-9)
        parts += len(free)
    assert parts > 50


def test_the_most_probable_classes_are_the_path_if_they_read_the_label():
    log_probs, *_ = random_batch(seed=6)
    for row in log_probs:
        greedy = row.argmax(-1).tolist()
        assert align_one(row, collapse(greedy, 2), 2) == greedy


def test_equal_neighbours_need_a_blank():
    one = torch.tensor([0.0, 9.0, 0.0]).expand(4, 3)
    assert align_one(one[:3], [1, 1], 0) == [1, 0, 1]
    assert align_one(one[:2], [1, 1], 0) == [-1, -1]
    assert align_one(one[:2], [1, 2], 0) == [1, 2]
    assert sorted(align_one(one, [1, 1], 0)) == [0, 1, 1, 1]
    assert align_one(one, [1, 2, 1, 2], 0) == [1, 2, 1, 2]
    assert align_one(one, [1, 2, 2, 1], 0) == [-1] * 4


def test_of_equal_paths_it_always_takes_the_same():
    flat = torch.zeros(3, 5, 4)
    found = best_alignment(
        flat, torch.tensor([[1, 2]] * 3), torch.tensor([5, 5, 4]), torch.tensor([2, 1, 0]), 0
    )
    assert found.tolist() == [[1, 2, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, -1]]
    # From 1 to 2 by way of the blank or straight on.
    assert align_one(torch.tensor([[-9.0, 0, -9], [0, 0, -9], [-9, -9, 0]]), [1, 2], 0) == [1, 0, 2]


def test_sizes_of_nothing_and_one():
    log_probs = torch.randn(2, 4, 3)
    none, two = torch.zeros(2, 0, dtype=torch.long), torch.tensor([0, 0])
    assert best_alignment(log_probs, none, torch.tensor([4, 2]), two, 1).tolist() == [
        [1, 1, 1, 1],
        [1, 1, -1, -1],
    ]
    empty = torch.zeros(0, dtype=torch.long)
    assert best_alignment(log_probs[:0], none[:0], empty, empty, 1).shape == (0, 4)
    assert best_alignment(
        log_probs[:0], torch.zeros(0, 5, dtype=torch.long), empty, empty, 1
    ).shape == (0, 4)
    assert align_one(log_probs[0, :1], [2], 1) == [2]
    assert align_one(log_probs[0, :1], [], 1) == [1]
    assert align_one(log_probs[0, :1], [2, 0], 1) == [-1]
    for label in ([], [2]):
        assert align_one(log_probs[0], label, 1, frames=0) == [-1] * 4


def test_what_is_not_a_frame_or_a_label_does_not_matter():
    log_probs, targets, frames, lengths, blank = random_batch(seed=7)
    expected = best_alignment(log_probs, targets, frames, lengths, blank)
    padding = torch.arange(log_probs.size(1)) >= frames[:, None]
    behind = torch.arange(targets.size(1)) >= lengths[:, None]
    for fill in (1e4, -math.inf, math.nan):
        other = log_probs.masked_fill(padding[..., None], fill)
        assert best_alignment(other, targets, frames, lengths, blank).equal(expected)
    for fill in (-1, blank, 1000):
        other = targets.masked_fill(behind, fill)
        assert best_alignment(log_probs, other, frames, lengths, blank).equal(expected)
    longer = F.pad(targets, (0, 4), value=255), F.pad(log_probs, (0, 0, 0, 3), value=7.0)
    found = best_alignment(longer[1], longer[0], frames, lengths, blank)
    assert found.equal(F.pad(expected, (0, 3), value=-1))


def test_logits_do_as_well_as_log_probabilities():
    log_probs, *others = random_batch(seed=8)
    # So large that single precision would see only the offset.
    offset = 1e6 * torch.randn(*log_probs.shape[:2], 1, dtype=torch.float64)
    assert best_alignment(log_probs + offset, *others).equal(best_alignment(log_probs, *others))


def test_a_batch_is_its_images():
    log_probs, targets, frames, lengths, blank = random_batch(seed=9, dtype=torch.float32)
    together = best_alignment(log_probs, targets, frames, lengths, blank)
    for i in range(len(together)):
        label = targets[i, : lengths[i]].tolist()
        assert align_one(log_probs[i], label, blank, int(frames[i])) == together[i].tolist()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_adds_up_in_single(dtype):
    # Sums over 80 frames, whose differences half precision would round off.
    log_probs, *others = random_batch(seed=10, steps=80, classes=38, sharpness=1.0, dtype=dtype)
    found = best_alignment(log_probs, *others)
    assert found.dtype == torch.long
    assert found.equal(best_alignment(log_probs.double(), *others))


def test_input_may_require_a_gradient_and_stays_as_it_is():
    log_probs, targets, *others = random_batch(seed=11)
    before = log_probs.clone(), targets.clone()
    found = best_alignment(log_probs.requires_grad_(), targets, *others)
    assert not found.requires_grad
    assert log_probs.equal(before[0]) and targets.equal(before[1])


def test_no_step_waits_for_values():
    """Tensors on ``meta`` have none: a value that Python asks for would be an error."""
    *tensors, blank = random_batch()
    assert best_alignment(*(x.to('meta') for x in tensors), blank).shape == (32, 25)


def test_frames_that_are_not_a_number_have_no_path():
    log_probs = torch.zeros(2, 3, 3)
    log_probs[0, 1] = math.nan
    found = best_alignment(
        log_probs, torch.tensor([[1], [1]]), torch.tensor([3, 3]), torch.tensor([1, 1]), 0
    )
    assert (found[0] == -1).all() and (found[1] >= 0).all()


def test_sharp_ctc_loss_pulls_at_the_path():
    """The best path of sharp logits has all of the probability: the gradient of the loss with
    respect to the logits, ``probability - occupancy``, shows it."""
    log_probs, targets, frames, lengths, blank = random_batch(seed=12, steps=40)
    logits = (2000 * log_probs).requires_grad_()
    found = best_alignment(logits, targets, frames, lengths, blank)
    loss = F.ctc_loss(
        logits.log_softmax(-1).transpose(0, 1), targets, frames, lengths, blank, reduction='none'
    )
    (grad,) = torch.autograd.grad(loss.sum(), logits)
    occupancy = logits.detach().softmax(-1) - grad
    feasible = (found >= 0).any(1)
    assert feasible.equal(loss.isfinite())
    assert 4 < feasible.sum() < len(found)
    shown = found >= 0
    torch.testing.assert_close(
        occupancy[shown], F.one_hot(found[shown], 6).double(), atol=1e-3, rtol=0
    )


# ------------------------------------------------------------------ the probability of a text


def test_the_likelihood_sums_over_all_paths_of_the_greedy_text():
    count, steps, classes, blank = 8, 5, 3, 1
    log_probs, _, _, _, _ = random_batch(count=count, steps=steps, classes=classes, blank=blank)
    frames = torch.tensor([1, 2, 3, 4, 5, 5, 5, 5])
    found, lengths = greedy_log_likelihood(log_probs.exp(), frames, blank)
    for rows, width, log_likelihood, length in zip(log_probs, frames, found, lengths):
        rows = rows[:width]
        text = collapse(rows.argmax(-1).tolist(), blank)
        paths = itertools.product(range(classes), repeat=int(width))
        wanted = sum(math.exp(path_score(rows, p)) for p in paths if collapse(p, blank) == text)
        assert log_likelihood.exp().item() == pytest.approx(wanted)
        assert length == len(text)


def test_the_likelihood_is_at_least_that_of_the_greedy_path_and_at_most_one():
    log_probs, _, frames, _, blank = random_batch(sharpness=6.0)
    found, _ = greedy_log_likelihood(log_probs.exp(), frames, blank)
    counted = torch.arange(log_probs.size(1)) < frames[:, None]
    path = log_probs.amax(-1).masked_fill(~counted, 0).sum(1)
    assert (found >= path - 1e-9).all() and (found > path + 0.1).any() and (found <= 0).all()


def test_the_likelihood_of_sure_frames_is_one_also_without_a_character():
    sure = F.one_hot(torch.tensor([[0, 0, 0, 0], [1, 1, 0, 1], [1, 2, 2, 0]]), 3).float()
    found, lengths = greedy_log_likelihood(sure, torch.tensor([4, 4, 2]), 0)
    torch.testing.assert_close(found, torch.zeros(3))
    assert lengths.tolist() == [0, 2, 2]
