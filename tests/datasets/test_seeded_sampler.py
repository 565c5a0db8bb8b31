"""Batches of one domain: what an epoch covers, where they continue after a resume."""

import pytest

from mmocr_da.datasets import SeededSampler, seeded_sampler
from mmocr_da.datasets.seeded_sampler import Draw
from mmocr_da.registry import DATA_SAMPLERS


def make(size=23, batch_size=6, seed=3, **kwargs):
    return SeededSampler(range(size), batch_size, seed=seed, **kwargs)


def draws(sampler, epoch=0, skip=0):
    sampler.set_epoch(epoch)
    sampler.skip(skip)
    return [(int(draw), draw.seed) for draw in sampler]


def test_an_epoch_covers_all_images_and_fills_its_last_batch():
    sampler = make()
    orders = set()
    for epoch in range(4):
        indices = [i for i, _ in draws(sampler, epoch)]
        assert sorted(indices[:23]) == list(range(23))
        assert len(indices) == len(sampler) == 24 and sampler.num_batches == 4
        orders.add(tuple(indices))
    assert len(orders) == 4
    assert [i for i, _ in draws(make(round_up=False))] == [i for i, _ in draws(make())][:18]
    assert [i for i, _ in draws(make(shuffle=False))] == [*range(23), 0]


def test_a_batch_is_larger_than_the_dataset():
    indices = [i for i, _ in draws(make(size=4, batch_size=10))]
    assert sorted(indices[:4]) == sorted(indices[4:8]) == [0, 1, 2, 3] and len(indices) == 10


@pytest.mark.parametrize('skip', [1, 3, 4, 11])
def test_skipping_draws_what_would_have_come(skip):
    sampler = make()
    whole = [d for epoch in range(5) for d in draws(sampler, epoch)]
    sampler = make()
    sampler.skip(skip)
    rest = []
    for _ in range(2):
        rest += [(int(d), d.seed) for d in sampler]
        sampler.set_epoch(sampler.epoch + 1)
    assert rest == whole[6 * skip : 6 * skip + len(rest)]


def test_no_two_draws_share_a_seed_and_another_seed_is_another_run():
    sampler = make()
    seen = [d for epoch in range(5) for d in draws(sampler, epoch)]
    assert len({seed for _, seed in seen}) == len(seen)
    assert draws(make()) == draws(make()) != draws(make(seed=4))
    assert all(isinstance(d, Draw) for d in make())


def test_ranks_together_draw_what_one_process_draws(monkeypatch):
    one = draws(make(batch_size=6), 2)
    parts = []
    for rank in range(2):
        monkeypatch.setattr(seeded_sampler, 'get_dist_info', lambda: (rank, 2))
        parts.append(draws(make(batch_size=3), 2))
    together = [d for i in range(0, 12, 3) for part in parts for d in part[i : i + 3]]
    assert together == one


@pytest.mark.parametrize(
    'size, options, message',
    [
        (5, dict(batch_size=0), 'batch_size must be'),
        (0, {}, 'needs images'),
        (5, dict(round_up=False), 'at least one batch, got 5 images for 6 per step'),
    ],
)
def test_bad_input(size, options, message):
    with pytest.raises(ValueError, match=message):
        make(size, **options)


def test_it_is_registered():
    assert DATA_SAMPLERS.get('mmocr_da.SeededSampler') is SeededSampler
