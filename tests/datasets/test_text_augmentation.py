"""The augmentation of source images: limits, bounds, how often, and parts by hand."""

import re
import time
from unittest.mock import patch

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS, TRANSFORMS

from mmocr_da.datasets import SeededSampler
from mmocr_da.datasets.polarity import has_bright_text
from mmocr_da.datasets.text_augmentation import PROBABILITIES, TextAugmentation

PARTS = list(PROBABILITIES)
GEOMETRY = ('slant', 'rotation', 'curvature', 'perspective', 'crop')
SHAPES = [
    (32, 100),
    (32, 100, 1),
    (32, 100, 3),
    (17, 9, 2),
    (64, 40, 4),
    (4, 4),
    (4, 4, 3),
    (1, 1),
    (2, 300, 3),
    (300, 2),
    (40, 2000),
    (40, 2000, 3),
]


def build(**kwargs):
    return TRANSFORMS.build(dict(type='mmocr_da.TextAugmentation', **kwargs))


def only(*parts, strength=1.0):
    """With these parts always, and no others."""
    return build(
        strength=strength, probabilities={part: float(part in parts) for part in PROBABILITIES}
    )


def apply(transform, image, seed):
    np.random.seed(seed)
    return transform(dict(img=image))['img']


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def word(height=32, width=100, channels=None):
    """Dark text on a light background."""
    image = np.full((height, width) if channels is None else (height, width, channels), 230)
    image = image.astype(np.uint8)
    return cv2.putText(
        image,
        'Word',
        (width // 12, height * 3 // 4),
        0,
        height / 32,
        (20,) * 4,
        max(1, height // 16),
    )


def ramps(height=50, width=120):
    """Two channels that encode the place of a pixel: ``2 * x`` and ``5 * y``."""
    y, x = np.mgrid[:height, :width]
    return np.stack([2 * x, 5 * y], -1).astype(np.uint8)


# Laws of all parts together.


@pytest.mark.parametrize('shape', SHAPES, ids=str)
@pytest.mark.parametrize('parts', [(), *[(part,) for part in PARTS], GEOMETRY], ids='-'.join)
def test_shape_and_type_are_kept_and_the_given_image_is_not_changed(shape, parts):
    image, transform = noise(*shape), only(*parts) if parts else build()
    for seed in range(8 if image.size < 50_000 else 3):
        result = apply(transform, image, seed)
        assert result.shape == shape and result.dtype == np.uint8
    np.testing.assert_array_equal(image, noise(*shape))


@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_a_strength_of_zero_is_the_identity(shape):
    transform = only(*PARTS[:9], 'noise', 'jpeg', strength=0)
    for seed in range(5):
        np.testing.assert_array_equal(apply(transform, noise(*shape), seed), noise(*shape))
        np.testing.assert_array_equal(apply(build(strength=0), noise(*shape), seed), noise(*shape))


@pytest.mark.parametrize('part', [part for part in PARTS if part not in ('inversion', 'jpeg')])
@pytest.mark.parametrize('channels', [None, 3])
def test_a_part_vanishes_continuously_with_the_strength(part, channels, monkeypatch):
    monkeypatch.setattr(TextAugmentation, '_draws', lambda self, name: name == part)
    image, transform = word(64, 200, channels), only(part, strength=1e-3)
    if part in ('blur', 'motion', 'low_resolution'):
        transform._chances[part] = 1.0
    for seed in range(20):
        result = apply(transform, image, seed)
        if channels and part == 'recolour':  # a random order of equal channels
            result = np.sort(result, axis=-1)
        # OpenCV rounds places to 1/32 pixel, 7 levels at the edge of a stroke.
        assert np.abs(result.astype(int) - image).max() <= 10


@pytest.mark.parametrize('channels', [None, 3])
def test_the_seed_decides_and_draws_differ(channels):
    image, transform = word(channels=channels), build()
    results = [apply(transform, image, seed).tobytes() for seed in range(50)]
    assert results == [apply(build(), image, seed).tobytes() for seed in range(50)]
    # Nothing is drawn with probability 0.0029.
    assert len(set(results)) >= 47


@pytest.mark.parametrize('part', PARTS)
def test_each_part_draws_anything_but_the_same(part):
    results = {apply(only(part), word(64, 200), seed).tobytes() for seed in range(10)}
    # A blur of less than a fifth of a pixel changes nothing.
    assert len(results) == 1 if part == 'inversion' else len(results) >= 8


@pytest.mark.parametrize('part', PARTS)
def test_nothing_but_numpys_random_state_is_drawn_from(part):
    import random

    import torch

    states = random.getstate(), torch.get_rng_state()
    cv2.setRNGSeed(1)
    first = apply(only(part), word(), 3)
    cv2.setRNGSeed(2)
    np.testing.assert_array_equal(apply(only(part), word(), 3), first)
    assert random.getstate() == states[0] and torch.equal(torch.get_rng_state(), states[1])


@pytest.mark.parametrize('part', [part for part in PARTS if part not in ('recolour', 'inversion')])
@pytest.mark.parametrize('shape', [(32, 100), (32, 100, 3), (5, 7)], ids=str)
def test_an_even_image_stays_even(part, shape):
    for seed, value in enumerate([0, 1, 77, 127, 200, 255] * 3):
        result = apply(only(part), np.full(shape, value, np.uint8), seed)
        assert np.abs(result.astype(int) - value).max() <= (5 if part == 'jpeg' else 0)


def test_text_keeps_its_contrast():
    """At all draws: of a word of 210 grey levels, at least 20 are left between text and paper."""
    transform, image = build(), word(64, 200)
    for seed in range(300):
        result = apply(transform, image, seed)
        blurred = cv2.GaussianBlur(result, (0, 0), 1.5)
        assert np.ptp(blurred) >= 20


@pytest.mark.parametrize('share', [0.0, 0.3, 1.0])
@pytest.mark.parametrize('bright', [False, True])
@pytest.mark.parametrize('strength', [1.0, 0.5])
def test_text_is_bright_as_often_as_wanted_whatever_it_was(share, bright, strength):
    transform = build(
        strength=strength,
        probabilities={part: 0.0 for part in PARTS if part != 'inversion'},
        bright_text=share,
    )
    image = 255 - word() if bright else word()
    found = [has_bright_text(apply(transform, image, seed)) for seed in range(400)]
    # Strength multiplies the probability of a change.
    expected = bright + strength * (share - bright)
    assert np.mean(found) == pytest.approx(expected, abs=0.1 if 0 < expected < 1 else 0)


def test_half_of_the_texts_bright_is_an_inversion_of_half_of_the_images():
    for image in (word(), 255 - word(), noise(30, 50, 3)):
        for seed in range(20):
            np.testing.assert_array_equal(
                apply(build(bright_text=0.5), image, seed),
                apply(build(probabilities=dict(inversion=0.5)), image, seed),
            )


def test_a_share_beside_a_probability_of_inversion_is_refused():
    with pytest.raises(ValueError, match='must not have inversion beside it'):
        build(bright_text=0.5, probabilities=dict(inversion=0.1))
    with pytest.raises(ValueError, match='bright_text must'):
        build(bright_text=1.5)


@pytest.mark.parametrize('strength, p', [(1.0, None), (1.0, 0.2), (0.5, None), (1.0, 0.0)])
def test_polarity_changes_with_its_probability_times_the_strength(strength, p):
    transform = build(strength=strength, probabilities={} if p is None else dict(inversion=p))
    image = word(64, 200)
    inverted = 0
    for seed in range(600):
        result = apply(transform, image, seed)
        # The mean of an image that is mostly paper is nearer to the paper than to the ink.
        inverted += result.mean() < (float(result.min()) + float(result.max())) / 2
    expected = strength * (0.5 if p is None else p)
    spread = (expected * (1 - expected) / 600) ** 0.5
    assert abs(inverted / 600 - expected) <= 4 * spread + (0.03 if strength else 0)


@pytest.mark.parametrize('strength', [1.0, 0.4])
def test_parts_are_as_frequent_as_the_table_says(strength):
    """The docstring's table against the parts that are called."""
    table = dict(re.findall(r'^ *``(\w+)`` +([\d.]+) ', TextAugmentation.__doc__, re.M))
    assert {name: float(p) for name, p in table.items()} == PROBABILITIES
    transform = build(strength=strength)
    called = dict.fromkeys(PARTS, 0)
    singles = dict(
        stroke='_stroke', recolour='_recolour', light='_light', noise='_noise', jpeg='_jpeg'
    )
    for part, method in singles.items():
        setattr(transform, method, counting(called, part))
    for part in transform._detail:
        transform._detail[part] = counting(called, part)

    def warp(image, parts):
        for part in parts:
            called[part] += 1
        return image

    transform._warp = warp
    np.random.seed(0)
    image, runs = word(8, 8), 4000
    for _ in range(runs):
        result = transform.augment(image)
        called['inversion'] += not np.array_equal(result, image)
    for part, p in PROBABILITIES.items():
        p *= strength
        assert abs(called[part] / runs - p) <= 4 * (p * (1 - p) / runs) ** 0.5, part


def counting(called, part):
    def method(image):
        called[part] += 1
        return image

    return method


def test_at_most_one_part_takes_detail_away():
    transform = build(probabilities=dict(blur=0.4, motion=0.3, low_resolution=0.3))
    called = dict.fromkeys(transform._detail, 0)
    for part in called:
        transform._detail[part] = counting(called, part)
    for _ in range(500):
        transform.augment(word(8, 8))
    assert sum(called.values()) == 500 and min(called.values()) > 100


def test_a_resumed_run_repeats_the_images(tmp_path):
    for i in range(6):
        cv2.imwrite(str(tmp_path / f'{i}.png'), word(30 + i, 80 + 7 * i, 3))
    dataset = DATASETS.build(
        dict(
            type='mmocr_da.SeededDataset',
            datasets=dict(type='mmocr_da.UnlabelledDataset', img_dir=str(tmp_path)),
            pipeline=[
                dict(type='mmocr.LoadImageFromFile'),
                dict(type='mmocr_da.TextAugmentation'),
                dict(type='mmocr.Resize', scale=(100, 32)),
                dict(type='mmocr.PackTextRecogInputs', meta_keys=('img_path',)),
            ],
        )
    )

    def images(skipped, disturbed=False):
        sampler = SeededSampler(dataset, batch_size=2, seed=3)
        sampler.skip(skipped)
        draws = []
        for draw in sampler:
            draws.append(draw)
            if len(draws) == 6 - 2 * skipped:
                break
        if disturbed:
            np.random.rand(5)
        return [dataset[draw]['inputs'].numpy().tobytes() for draw in draws]

    whole = images(0)
    assert len(whole) == 6 and images(2, disturbed=True) == whole[4:]


# Bounds of the parts.


def test_geometry_cuts_off_no_more_than_the_table_says():
    """Each side loses at most 6 % of the fitted height or 3 % of the fitted width."""
    image = ramps(100, 120)[:51]  # values of the first channel up to 238, of the second up to 250
    rows, columns = image.shape[:2]
    transform = only(*GEOMETRY)
    kept = []
    for seed in range(300):
        result = apply(transform, image, seed)
        x, y = result[..., 0] / 2, result[..., 1] / 5
        seen = np.zeros((10, 12), bool)
        inside = (x > 1) & (x < columns - 2) & (y > 1) & (y < rows - 2)
        seen[(y[inside] * 10 / rows).astype(int), (x[inside] * 12 / columns).astype(int)] = True
        kept.append(seen.mean())
    assert min(kept) >= 0.85 and np.mean(kept) > 0.97


@pytest.mark.parametrize('parts', [(part,) for part in GEOMETRY[:4]] + [GEOMETRY[:4]], ids='-'.join)
@pytest.mark.parametrize('shape', [(32, 100), (40, 20), (24, 400)], ids=str)
def test_without_crop_nothing_is_cut_off(parts, shape):
    """Marks of the four corners and the middles of the sides stay."""
    height, width = shape
    y, x = np.meshgrid([2, height // 2, height - 3], [2, width // 2, width - 3], indexing='ij')
    transform = only(*parts)
    for place in zip(y.flat, x.flat):
        image = np.zeros(shape, np.uint8)
        cv2.circle(image, [int(v) for v in place[::-1]], 2, 255, -1)
        for seed in range(12):
            assert apply(transform, image, seed).max() > 80


def test_a_crop_moves_a_line_within_its_bounds():
    """Of a line in the height of 0.21: from (0.21 - 0.06) / 1.09 to (0.21 + 0.15) / 1.09."""
    image = np.zeros((100, 400), np.uint8)
    image[20:22] = 255
    places = []
    for seed in range(400):
        result = apply(only('crop'), image, seed)[:, 200].astype(float)
        places.append((result * (np.arange(100) + 0.5)).sum() / result.sum() / 100)
    assert 0.15 / 1.09 - 0.005 <= min(places) < 0.155 and 0.31 < max(places) <= 0.36 / 1.09 + 0.005


def test_long_lines_stay_legible():
    """A rotation of 8 degrees would leave 10 % of the height of a line of 40 x 2000 pixels."""
    image = np.zeros((40, 2000), np.uint8)
    image[8:32] = 255
    for seed in range(10):
        result = apply(only('rotation', 'curvature'), image, seed)
        assert (result > 127).sum(axis=0).min() >= 24 / (1 + 0.3 + 0.2) - 1


def test_a_slant_is_a_shear_of_at_most_20_degrees():
    """A vertical bar becomes a line whose slope varies up to the limit, to both sides."""
    image = np.zeros((60, 240), np.uint8)
    image[:, 118:122] = 255
    angles = []
    for seed in range(200):
        result = apply(only('slant'), image, seed).astype(float)
        x = (result * np.arange(240)).sum(1) / result.sum(1)
        slope = np.polyfit(np.arange(60), x, 1)[0]
        # The result is shrunk to its former width.
        angles.append(np.rad2deg(np.arctan(slope / (1 - abs(slope) * 60 / 240))))
    assert -20.5 < min(angles) < -18 and 18 < max(angles) < 20.5


def test_geometry_by_hand():
    """A rise of 0.2 without other parts: the middle stays, the ends go up and down."""
    image = np.zeros((100, 1000), np.uint8)
    image[48:52] = 255
    transform = only('rotation')
    transform._around = lambda most: -0.2
    result = apply(transform, image, 0).astype(float)
    y = (result * np.arange(100)[:, None]).sum(0) / result.sum(0)
    # The height is 1.2 of what it was, in which the line runs from 0.1 below to 0.1 above.
    np.testing.assert_allclose(y[[5, 500, 994]], [49.5 + 10 / 1.2, 49.5, 49.5 - 10 / 1.2], atol=0.7)


def test_curvature_by_hand():
    """A sagitta of 0.2: ends are lower than the middle by 0.2 of the height."""
    image = np.zeros((100, 1000), np.uint8)
    image[48:52] = 255
    transform = only('curvature')
    transform._around = lambda most: 0.2
    result = apply(transform, image, 0).astype(float)
    y = (result * np.arange(100)[:, None]).sum(0) / result.sum(0)
    np.testing.assert_allclose(y[[2, 500, 997]], np.array([70, 50, 70]) / 1.2 - 0.5, atol=0.7)
    np.testing.assert_allclose(y[250], 55 / 1.2 - 0.5, atol=0.7)


def slope_of(result, axis):
    """Of the line that crosses the image along ``axis``, in pixels per pixel."""
    result = np.moveaxis(result.astype(float), axis, 1)[:, 10:-10]
    places = (result * np.arange(result.shape[0])[:, None]).sum(0) / result.sum(0)
    return np.polyfit(np.arange(result.shape[1]), places, 1)[0]


def test_a_rotation_keeps_right_angles():
    slopes = []
    for axis in (0, 1):
        image = np.zeros((100, 100), np.uint8)
        image[(slice(48, 52),) if axis else (slice(None), slice(48, 52))] = 255
        transform = only('rotation')
        transform._around = lambda most: most
        slopes.append(slope_of(apply(transform, image, 0), axis))
    assert abs(slopes[0] + slopes[1]) < 0.01
    assert abs(slopes[1] - np.tan(np.deg2rad(8))) < 0.01


@pytest.mark.parametrize('share, axis', [(0.2, 1), (0.1, 0)])
def test_perspective_by_hand(share, axis):
    """What is 1 high in the middle is 1 / (1 - share / 2) high at one end of the image."""
    image = np.zeros((100, 100), np.uint8)
    image[24:26], image[74:76] = 255, 255
    transform = only('perspective')
    transform._around = lambda most: most if most == share else 0.0
    result = apply(transform, image if axis else np.ascontiguousarray(image.T), 0)
    result = result if axis else result.T
    first, last = (
        np.average(np.arange(50, 100), weights=column[50:])
        - np.average(np.arange(50), weights=column[:50])
        for column in (result[:, 1].astype(float), result[:, -2].astype(float))
    )
    assert abs(first / last - (1 + share / 2) / (1 - share / 2)) < 0.02


def test_geometry_is_limited_by_the_height_of_long_lines_and_by_the_width_of_single_characters():
    limits = {}
    for shape in ((100, 1000), (100, 40)):
        for part in ('slant', 'rotation', 'curvature'):
            transform = only(part)
            transform._around = lambda most: limits.setdefault((shape, part), most)
            transform.augment(noise(*shape))
    assert np.round(list(limits.values()), 3).tolist() == [0.036, 0.3, 0.2, 0.25, 0.056, 0.032]


@pytest.mark.parametrize('width, cut, margin', [(400, 0.015, 0.0375), (100, 0.03, 0.12)])
def test_a_crop_at_the_sides_is_limited_by_height_and_width(width, cut, margin):
    image = np.zeros((100, width), np.uint8)
    image[:, width // 5 : width // 5 + 2] = 255
    place = (width // 5 + 1) / width
    places = []
    for seed in range(300):
        result = apply(only('crop'), image, seed)[50].astype(float)
        places.append((result * (np.arange(width) + 0.5)).sum() / result.sum() / width)
    low, high = np.array([place - cut, place + margin]) / (1 - cut + margin)
    assert low - 0.003 <= min(places) < low + 0.01
    assert high - 0.015 < max(places) <= high + 0.003


def test_what_comes_in_repeats_the_edge_or_has_its_median_colour():
    image = np.full((60, 60, 3), (10, 20, 30), np.uint8)
    image[:, 28:32] = 255
    repeated = constant = 0
    for seed in range(200):
        first = apply(only('crop'), image, seed)[0]
        repeated += first.max() > 200
        constant += bool((np.abs(first.astype(int) - (10, 20, 30)) <= 1).all())
    assert repeated > 100 and constant > 40 and repeated + constant > 180


def test_warps_of_opencv_and_of_maps_agree(monkeypatch):
    """A curvature of nearly nothing takes the maps, and is no other warp."""
    values = dict(slant=0.1, rotation=0.15, across=0.18, along=-0.08)
    image = cv2.GaussianBlur(noise(60, 200), (0, 0), 3)
    results = []
    for parts in (
        ['slant', 'rotation', 'perspective'],
        ['slant', 'rotation', 'curvature', 'perspective'],
    ):
        draws = list(values.values())
        if 'curvature' in parts:
            draws.insert(2, 1e-9)
        transform = only(*parts)
        monkeypatch.setattr(transform, '_around', lambda most, draws=iter(draws): next(draws))
        results.append(apply(transform, image, 1).astype(int))
    assert np.abs(results[0] - results[1]).max() <= 2
    assert np.abs(results[0] - image).max() > 20


def test_recolouring_spans_from_64_to_255_levels_and_keeps_the_order():
    levels = np.linspace(30, 220, 100).astype(np.uint8)[None].repeat(4, 0)
    spans, lows = [], []
    for seed in range(300):
        result = apply(only('recolour'), levels, seed).astype(int)
        assert (np.diff(result[0]) >= 0).all()
        spans.append(np.ptp(result)), lows.append(result.min())
    assert 63 <= min(spans) <= 70 and 245 <= max(spans) <= 255 and max(lows) > 120


def test_gamma_moves_the_middle_of_the_levels():
    image = np.repeat(np.uint8([[0, 127, 255]]), 4, 0)
    shares = []
    for seed in range(300):
        low, middle, high = apply(only('recolour'), image, seed)[0].astype(float)
        shares.append((middle - low) / (high - low))
    assert 0.5**1.6 - 0.02 <= min(shares) < 0.36 and 0.62 < max(shares) <= 0.5 ** (1 / 1.6) + 0.02


def test_channels_change_places():
    image = np.full((4, 40, 3), 100, np.uint8)
    image[:, :20, 0] = 200
    spans = [np.ptp(apply(only('recolour'), image, seed), axis=(0, 1)) for seed in range(30)]
    assert {int(span.argmax()) for span in spans} == {0, 1, 2}
    assert all((np.sort(span)[:2] == 0).all() for span in spans)


def test_tints_keep_the_mean_over_the_channels():
    image = np.full((4, 40, 3), 200, np.uint8)
    image[:, :20] = 40
    colourful = 0
    for seed in range(100):
        result = apply(only('recolour'), image, seed).astype(int)
        means = result.mean(axis=-1)
        assert 63 <= means[0, -1] - means[0, 0] <= 255
        differences = np.abs(result - means[..., None]).max()
        colourful += differences > 15
        assert differences <= 61
    assert colourful > 50


def test_a_faint_image_is_not_made_fainter():
    image = np.full((4, 40), 120, np.uint8)
    image[:, :20] = 110
    for seed in range(50):
        assert np.ptp(apply(only('recolour'), image, seed)) >= 10


@pytest.mark.parametrize('part', ['noise', 'light'])
@pytest.mark.parametrize('channels', [None, 3])
def test_noise_and_light_are_at_most_half_of_the_deviation_of_the_image(part, channels):
    """Of an image with a deviation of 50 around 128."""
    image = np.where(np.indices((64, 200)).sum(0) % 2, 178, 78).astype(np.uint8)
    if channels:
        image = image[..., None].repeat(channels, -1)
    found = [(apply(only(part), image, seed).astype(float) - image).std() for seed in range(200)]
    # Few points make a field of light: its deviation scatters.
    most = 25.5 if part == 'noise' else 60
    assert min(found) < 2 and 20 < max(found) <= most
    if part == 'noise':
        assert abs(np.mean(found) - 12.5) < 4 * 7.2 / 200**0.5


def test_strokes_get_thicker_and_thinner():
    image = word(64, 200)
    changes = [image.mean() - apply(only('stroke'), image, seed).mean() for seed in range(100)]
    assert min(changes) < -1 and max(changes) > 1
    assert 30 <= sum(change > 0 for change in changes) <= 70


@pytest.mark.parametrize('height, size, share', [(12, 3, 0.35), (32, 3, 0.7), (96, 5, 0.7)])
def test_the_strongest_stroke_by_hand(height, size, share):
    image, transform = word(height, 3 * height), only('stroke')
    transform._up_to = lambda most: most
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    ends = [change(image, kernel) for change in (cv2.dilate, cv2.erode)]
    expected = [cv2.addWeighted(image, 1 - share, end, share, 0) for end in ends]
    for seed in range(6):
        result = apply(transform, image, seed)
        assert any(np.array_equal(result, one) for one in expected)


def test_the_strongest_blur_by_hand():
    transform = only('blur')
    transform._up_to = lambda most: most
    expected = cv2.GaussianBlur(word(64, 200), (0, 0), 3.2)
    np.testing.assert_array_equal(apply(transform, word(64, 200), 0), expected)


def test_motion_is_the_mean_along_a_line(monkeypatch):
    """A dot becomes a line of 0.15 H in the direction of the motion, of the same mass."""
    image = np.zeros((101, 101), np.uint8)
    image[50, 50] = 255
    monkeypatch.setattr(np.random, 'random', lambda: 1.0)
    monkeypatch.setattr(np.random, 'uniform', lambda low, high: 0.0)
    result = only('motion')._motion(image).astype(float)
    assert np.flatnonzero(result.sum(1)).tolist() == [50]
    columns = np.flatnonzero(result[50] > 5)
    assert 15 <= np.ptp(columns) + 1 <= 17 and abs(result.sum() - 255) < 17
    np.testing.assert_allclose(result[50, 45:56], 255 / 16, atol=2)


def test_low_resolution_keeps_14_pixels_of_height():
    """Lines of 16 pixels or less stay; of higher ones the mean of blocks is what is kept."""
    for seed in range(20):
        small = noise(14, 60)
        np.testing.assert_array_equal(apply(only('low_resolution'), small, seed), small)
    stripes = np.zeros((56, 100), np.uint8)
    stripes[np.arange(56) % 8 < 4] = 255  # 7 periods: 14 pixels show them
    losses = [np.ptp(apply(only('low_resolution'), stripes, seed)) for seed in range(100)]
    assert min(losses) >= 60
    # High images are shrunk to a quarter: means of 4 x 4 independent pixels, which the
    # interpolation smoothes once more.
    fine = noise(400, 100)
    left = [apply(only('low_resolution'), fine, seed).std() / fine.std() for seed in range(60)]
    assert 0.12 < min(left) < 0.3 and max(left) > 0.6


def test_jpeg_is_that_of_opencv():
    image = noise(33, 50, 3)
    for seed in range(20):
        result = apply(only('jpeg'), image, seed)
        assert any(
            np.array_equal(
                result,
                cv2.imdecode(cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, q])[1], 1),
            )
            for q in range(20, 81)
        )


# Errors and speed.


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(strength=-0.1), 'strength must be a number of at least 0 and of at most 1, got -0.1'),
        (dict(strength=2), 'strength must be a number of at least 0 and of at most 1, got 2'),
        (dict(probabilities=dict(invert=1)), 'keys of stroke, .* jpeg, got invert'),
        (dict(probabilities=dict(jpeg=1.5)), r"probabilities\['jpeg'\] must be .* got 1.5"),
        (dict(probabilities=dict(blur=0.9)), 'must sum up to at most 1, .* got 1.2: lower'),
    ],
)
def test_wrong_arguments_say_what_is_wanted(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)


@pytest.mark.parametrize(
    'image', [np.zeros((4, 4), np.float32), np.zeros((4, 4, 5), np.uint8), np.zeros(4, np.uint8)]
)
def test_what_is_no_image_is_an_error(image):
    with pytest.raises(ValueError, match='needs'):
        build()(dict(img=image))


def test_an_image_that_opencv_cannot_warp_is_left_unchanged():
    image = noise(2, 32767)
    for seed in range(5):
        np.testing.assert_array_equal(apply(build(), image, seed), image)


def test_the_representation_names_strength_and_probabilities():
    text = repr(build(strength=0.5, probabilities=dict(jpeg=0)))
    assert text == ("TextAugmentation(strength=0.5, probabilities={'jpeg': 0}, bright_text=None)")


def test_it_is_no_bottleneck():
    """Processor time, best of a few: a small CTC recognizer takes at least 2 ms per image."""
    transform, image = build(), word()
    best = np.inf
    for _ in range(5):
        start = time.process_time()
        for _ in range(40):
            transform.augment(image)
        best = min(best, (time.process_time() - start) / 40)
    assert best < 2e-3


def test_a_warp_wakes_no_threads():
    # NumPy's linear algebra does, also for three rows: a millisecond for an image on busy cores.
    augment = only(*GEOMETRY)
    with patch('numpy.linalg.inv', side_effect=AssertionError):
        augment.augment(np.zeros((32, 100), np.uint8))
