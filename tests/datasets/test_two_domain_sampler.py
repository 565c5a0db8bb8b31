"""Batches of two domains: their mix, what an epoch covers, where they continue."""

import pickle
from collections import Counter
from itertools import islice
from types import SimpleNamespace

import pytest

from mmocr_da.datasets import seeded_sampler
from mmocr_da.datasets.seeded_sampler import Draw
from mmocr_da.datasets.two_domain_sampler import TwoDomainSampler, split_batch

SIZES = (23, 14)


def make(sizes=SIZES, batch_size=6, seed=3, **kwargs):
    return TwoDomainSampler(SimpleNamespace(domain_sizes=sizes), batch_size, seed=seed, **kwargs)


def epoch_of(sampler, epoch=None):
    """Batches of an epoch: lists of ``(index, seed)``."""
    if epoch is not None:
        sampler.set_epoch(epoch)
    draws = [(int(draw), draw.seed) for draw in sampler]
    size = sampler.batch_size
    return [draws[i : i + size] for i in range(0, len(draws), size)]


@pytest.mark.parametrize(
    'batch_size, ratio, counts',
    [
        (6, (1, 1), (3, 3)),
        (6, (2, 1), (4, 2)),
        (7, (1, 1), (4, 3)),
        (8, (1, 2), (3, 5)),
        (10, (0.3, 0.7), (3, 7)),
        (2, (1, 1), (1, 1)),
        (5, (0, 1), (0, 5)),
        (1, (0, 3), (0, 1)),
        (4, (1, 0), (4, 0)),
    ],
)
def test_every_batch_has_the_same_mix_source_first(batch_size, ratio, counts):
    sampler = make(batch_size=batch_size, ratio=ratio)
    for epoch in range(3):
        for batch in epoch_of(sampler, epoch):
            assert [index < SIZES[0] for index, _ in batch] == (
                [True] * counts[0] + [False] * counts[1]
            )


@pytest.mark.parametrize('epoch', [None, 'target', 'longest', 'shortest'])
@pytest.mark.parametrize('source', [0, 23])
def test_with_a_share_of_0_an_epoch_covers_the_other_domain(epoch, source):
    sampler = make(sizes=(source, 14), ratio=(0, 1), epoch=epoch)
    for number in range(3):
        drawn = [i for batch in epoch_of(sampler, number) for i, _ in batch]
        assert sorted(drawn[:14]) == list(range(source, source + 14))
        assert len(drawn) == len(sampler) == 18


def test_without_a_source_the_target_is_drawn_as_beside_one():
    alone, beside = (make(sizes=(n, 14), ratio=(0, 1)) for n in (0, 23))
    for number in range(3):
        shifted = [[(i - 23, seed) for i, seed in batch] for batch in epoch_of(beside, number)]
        assert epoch_of(alone, number) == shifted


@pytest.mark.parametrize('epoch', ['source', 'target', 'longest', 'shortest'])
@pytest.mark.parametrize('ratio', [(1, 1), (1, 2)])
def test_an_epoch_covers_its_domain_once(epoch, ratio):
    sampler = make(epoch=epoch, ratio=ratio)
    counts = split_batch(6, ratio)
    covered = {'source': 0, 'target': 1}.get(epoch)
    if covered is None:  # 23 / 3 > 14 / 3, 23 / 2 > 14 / 4
        covered = {'longest': 0, 'shortest': 1}[epoch]
    first = covered * SIZES[0]
    for number in range(4):
        batches = epoch_of(sampler, number)
        drawn = [i for batch in batches for i, _ in batch if (i >= SIZES[0]) == bool(covered)]
        assert sorted(drawn[: SIZES[covered]]) == list(range(first, first + SIZES[covered]))
        assert len(batches) == -(-SIZES[covered] // counts[covered])
        assert len(sampler) == 6 * len(batches)


def test_without_rounding_up_no_image_of_the_covered_domain_comes_twice():
    sampler = make(round_up=False)
    for number in range(3):
        source = [i for batch in epoch_of(sampler, number) for i, _ in batch if i < SIZES[0]]
        assert len(source) == len(set(source)) == 21


@pytest.mark.parametrize('epoch', ['source', 'target'])
def test_the_other_domain_is_cycled_evenly_over_the_ends_of_epochs(epoch):
    sampler = make(epoch=epoch)
    other = 1 - sampler.covered
    counts = Counter({i + other * SIZES[0]: 0 for i in range(SIZES[other])})
    for number in range(5):
        for batch in epoch_of(sampler, number):
            counts.update(i for i, _ in batch if (i >= SIZES[0]) == bool(other))
            assert max(counts.values()) - min(counts.values()) <= 1


def test_what_fills_the_last_batch_is_no_favourite():
    sampler = make(sizes=(4, 4), batch_size=6)
    filled = Counter(i for number in range(400) for i, _ in epoch_of(sampler, number)[1][1:3])
    assert min(filled.values()) > 150  # of 200 expected


def test_what_fills_the_last_batch_is_not_what_the_next_epoch_begins_with():
    sampler = make(sizes=(40, 40), batch_size=30)
    same = 0
    for number in range(30):
        fill = [i for i, _ in epoch_of(sampler, number)[2][10:15]]
        same += fill == [i for i, _ in epoch_of(sampler, number + 1)[0][:5]]
    assert same == 0


@pytest.mark.parametrize('passed', [0, 1, 7, 8, 9, 16, 30])
def test_resumed_at_any_batch_it_draws_what_it_would_have_drawn(passed):
    whole, sampler = [], make()
    for epoch in range(6):
        whole += epoch_of(sampler, epoch)
    resumed = make()
    resumed.skip(passed)
    rest = epoch_of(resumed)
    while passed + len(rest) < len(whole):
        rest += epoch_of(resumed, resumed.epoch + 1)
    assert rest == whole[passed:]


def test_skipping_in_steps_is_skipping_at_once():
    a, b = make(), make()
    a.skip(13)
    b.skip(5)
    b.skip(8)
    assert epoch_of(a) == epoch_of(b)


def test_skipping_does_not_take_the_time_of_what_is_skipped():
    sampler = make()
    sampler.skip(10**15)
    assert len(list(islice(sampler, 6))) == 6


@pytest.mark.parametrize('ranks', [2, 3])
@pytest.mark.parametrize('epoch', ['source', 'target'])
def test_ranks_together_draw_what_one_process_draws(monkeypatch, ranks, epoch):
    one = make(batch_size=6 * ranks, ratio=(2, 1), epoch=epoch)
    several = []
    for rank in range(ranks):
        monkeypatch.setattr(seeded_sampler, 'get_dist_info', lambda: (rank, ranks))
        several.append(make(batch_size=6, ratio=(2, 1), epoch=epoch))
    for number in range(3):
        steps = zip(*(epoch_of(sampler, number) for sampler in several))
        together = [sorted(draw for batch in step for draw in batch) for step in steps]
        assert together == [sorted(batch) for batch in epoch_of(one, number)]


def test_epochs_and_seeds_differ_and_a_seed_repeats():
    assert epoch_of(make(), 0) == epoch_of(make(), 0)
    assert epoch_of(make(), 0) != epoch_of(make(), 1)
    assert epoch_of(make(), 0) != epoch_of(make(seed=4), 0)


def test_no_two_draws_have_the_same_seed():
    sampler = make()
    seeds = [seed for n in range(20) for batch in epoch_of(sampler, n) for _, seed in batch]
    assert len(set(seeds)) == len(seeds)


def test_without_shuffling_the_order_is_that_of_the_data():
    draws = [int(i) for i in make(sizes=(4, 2), batch_size=4, shuffle=False)]
    assert draws == [0, 1, 4, 5, 2, 3, 4, 5]


def test_a_draw_keeps_its_seed_on_its_way_to_a_worker():
    draw = pickle.loads(pickle.dumps(Draw(5, 77)))
    assert (draw, draw.seed) == (5, 77)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(batch_size=4, ratio=(1, 9)), 'larger batch_size'),
        (dict(ratio=(1, 99)), 'a share of 0'),
        (dict(ratio=(0, 0)), 'two numbers'),
        (dict(ratio=(0, 1), batch_size=0), 'at least 1'),
        (dict(ratio=(0, 1), epoch='source'), "drawn from, got 'source' for ratio=\\(0, 1\\)"),
        (dict(ratio=(0, 1), sizes=(5, 0)), 'got 5 source and 0 target'),
        (dict(ratio=(1, 1, 1)), 'two numbers'),
        (dict(ratio=(2, -1)), 'two numbers'),
        (dict(batch_size=1), 'at least 2'),
        (dict(epoch='both'), 'source, target, longest, shortest'),
        (dict(sizes=(0, 5)), r'got 0 source .* set ratio=\(0, 1\)'),
        (dict(sizes=(2, 5), batch_size=8, round_up=False), 'at least one batch'),
    ],
)
def test_errors_help(kwargs, message):
    with pytest.raises(ValueError, match=message):
        make(**kwargs)


def test_a_dataset_of_one_domain_is_an_error():
    with pytest.raises(ValueError, match='TwoDomainDataset, got a list'):
        TwoDomainSampler([1, 2, 3], 2)
