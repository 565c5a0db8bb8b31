"""Laws of seeded blocks: the seed alone decides, and the states outside do not change."""

import random

import imgaug
import numpy as np
import pytest
import torch

from mmocr_da.rng import imgaug_restored, seeded, torch_seeded


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()


@pytest.mark.parametrize('error', [None, KeyError])
def test_the_seed_decides_and_the_states_are_restored(error):
    inside = []
    for _ in range(2):
        states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
        try:
            with seeded(7):
                inside.append((draw(), imgaug.random.get_global_rng().uniform()))
                if error:
                    raise error
        except KeyError:
            pass
        assert random.getstate() == states[0]
        assert np.array_equal(np.random.get_state()[1], states[1])
        assert torch.equal(torch.get_rng_state(), states[2])
        draw()  # the state before must not matter
    assert inside[0] == inside[1]
    with seeded(8):
        assert draw() != inside[0][0]


def test_without_a_seed_nothing_is_restored():
    with seeded(None):
        first = draw()
    assert draw() != first


def test_torch_alone_leaves_the_others_running():
    torch.manual_seed(3)
    numpy_state, expected = np.random.get_state()[1].copy(), torch.Generator().manual_seed(5)
    with torch_seeded(5):
        assert torch.equal(torch.rand(4), torch.rand(4, generator=expected))
        assert np.array_equal(np.random.get_state()[1], numpy_state)
    assert torch.equal(torch.rand(4), torch.rand(4, generator=torch.Generator().manual_seed(3)))
    assert torch.initial_seed() == 3


def test_imgaug_is_restored():
    imgaug.random.seed(1)
    expected = imgaug.random.get_global_rng().uniform()
    imgaug.random.seed(1)
    with imgaug_restored(), seeded(2):
        imgaug.random.get_global_rng().uniform()
    assert imgaug.random.get_global_rng().uniform() == expected
