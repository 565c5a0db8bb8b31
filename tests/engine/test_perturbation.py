"""A slight change of an image: bounded, repeatable, of any scale, and none of the padding."""

import pytest
import torch

from mmocr_da.engine.perturbation import BRIGHTNESS, CONTRAST, NOISE, perturbed


def image(height=32, width=48):
    return (torch.rand(3, height, width) * 255).to(torch.uint8)


def test_it_is_the_same_for_a_seed_and_another_for_another():
    given = image()
    before = given.clone()
    found = [perturbed(given, seed) for seed in (1, 1, 2)]
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    assert torch.equal(given, before)
    assert found[0].dtype == torch.uint8 and found[0].shape == given.shape


def test_it_leaves_no_trace_in_the_random_numbers():
    given, state = image().float(), torch.get_rng_state()
    perturbed(given, 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_it_does_not_depend_on_the_scale_of_the_numbers():
    """So a standardized image changes as one of bytes does."""
    given = image().double()
    for seed in range(5):
        found = perturbed(given / 100 - 3, seed)
        torch.testing.assert_close(100 * (found + 3), perturbed(given, seed), atol=1e-3, rtol=0)


def test_an_image_of_one_colour_stays_as_it_is():
    given = torch.full((1, 16, 32), 7, dtype=torch.uint8)
    assert all(torch.equal(perturbed(given, seed), given) for seed in range(5))


def test_the_padding_stays_as_it_is():
    given = image(width=40)
    found = perturbed(given, 3, valid_ratio=0.5)
    assert torch.equal(found[..., 20:], given[..., 20:])
    assert torch.equal(found[..., :20], perturbed(given[..., :20], 3))


@pytest.mark.parametrize('height, most', [(32, 2), (64, 4), (8, 1)])
def test_the_shift_is_a_few_pixels_to_every_side(height, most, monkeypatch):
    for name in ('CONTRAST', 'BRIGHTNESS', 'NOISE'):
        monkeypatch.setattr(f'mmocr_da.engine.perturbation.{name}', 0.0)
    given = torch.zeros(1, height, 40)
    given[0, height // 2, 20] = 1.0
    shifts = set()
    for seed in range(200):
        found = perturbed(given, seed)
        ((row, column),) = (found[0] > 0.5).nonzero().tolist()
        shifts.add((row - height // 2, column - 20))
    sides = range(-most, most + 1)
    assert {down for down, _ in shifts} == {right for _, right in shifts} == {*sides}


def test_what_comes_in_repeats_the_edge(monkeypatch):
    for name in ('CONTRAST', 'BRIGHTNESS', 'NOISE'):
        monkeypatch.setattr(f'mmocr_da.engine.perturbation.{name}', 0.0)
    given = torch.arange(32.0).expand(1, 32, 32).contiguous()
    found = perturbed(given, 0)
    assert found.min() >= 0 and found.max() <= 31
    assert (found[0].diff(dim=1) >= -1e-5).all()


def test_contrast_brightness_and_noise_are_within_their_bounds(monkeypatch):
    monkeypatch.setattr('mmocr_da.engine.perturbation.SHIFT', 0.0)
    given = torch.randn(1, 64, 256).cumsum(2)  # a shift by one pixel is little
    mean, deviation = given.mean(), given.std(correction=0)
    moved, scaled = [], []
    for seed in range(50):
        found = perturbed(given, seed)
        moved.append(float((found.mean() - mean) / deviation))
        scaled.append(float(found.std() / deviation))
    assert max(map(abs, moved)) < BRIGHTNESS + 0.02 and max(map(abs, moved)) > BRIGHTNESS / 2
    assert 1 - CONTRAST - 0.02 < min(scaled) < 1 - CONTRAST / 2
    assert 1 + CONTRAST / 2 < max(scaled) < 1 + CONTRAST + NOISE
