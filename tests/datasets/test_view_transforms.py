"""The augmentation of SeqCLR: limits, equality with imgaug for the same draws, known pixels."""

from collections import Counter
from pathlib import Path

import imgaug.augmenters as iaa
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import TRANSFORMS

import mmocr_da.datasets  # noqa: F401

VIEWS = Config.fromfile(Path(__file__).parents[2] / 'configs/_base_/datasets/seqclr_views.py')
PAPER = VIEWS.seqclr_augmentation.transforms
NAMES = [f'{i}-{op.type.split(".")[1]}' for i, op in enumerate(PAPER)]
# At these strengths there is nothing to do.
IDENTITIES = [
    dict(type='LinearContrast', alpha=(1, 1)),
    dict(type='GaussianBlur', sigma=(0, 0)),
    dict(type='GaussianBlur', sigma=(1e-6, 1e-6)),
    dict(type='Sharpen', alpha=(0, 0), lightness=(0, 3)),
    dict(type='CropAndResize'),
    dict(type='PiecewiseAffine', scale=(0, 0)),
    dict(type='PiecewiseAffine', scale=(0, 0), rows=2, cols=7),
    dict(type='PerspectiveJitter', scale=(0, 0)),
    dict(type='SomeOf', num=(0, 0), transforms=PAPER),
]


def build(type, **kwargs):
    return TRANSFORMS.build(dict(type=f'mmocr_da.{type.split(".")[-1]}', **kwargs))


def apply(transform, image, seed=None):
    if seed is not None:
        np.random.seed(seed)
    return transform(dict(img=image))['img']


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def ramps(height=33, width=100):
    """An image of two channels that encode the place of a pixel: ``2 * x`` and ``5 * y``."""
    y, x = np.mgrid[:height, :width]
    return np.stack([2 * x, 5 * y], -1).astype(np.uint8)


def origins(image):
    """Where the pixels of a transformed ``ramps()`` come from, ``(H, W, 2)``."""
    return image / np.array([2.0, 5.0])


def check_near(image, expected, most=1, mean=0.6):
    difference = np.abs(image.astype(float) - expected)
    assert difference.max() <= most and difference.mean() <= mean


# Laws.


@pytest.mark.parametrize('shape', [(32, 100), (32, 100, 1), (32, 100, 3), (7, 5, 3), (1, 1)])
@pytest.mark.parametrize(
    'op',
    [*PAPER, VIEWS.seqclr_augmentation, VIEWS.light_augmentation],
    ids=[*NAMES, 'all', 'light'],
)
def test_shape_and_type_are_kept_and_the_given_image_is_not_changed(op, shape):
    image, transform = noise(*shape), build(**op)
    for seed in range(5):
        result = apply(transform, image, seed)
        assert result.shape == shape and result.dtype == np.uint8
    np.testing.assert_array_equal(image, noise(*shape))


@pytest.mark.parametrize('op', [*PAPER, VIEWS.seqclr_augmentation], ids=[*NAMES, 'all'])
def test_an_even_image_stays_even(op):
    transform = build(**op)
    for seed, value in enumerate([0, 1, 77, 127, 200, 255] * 5):
        result = apply(transform, np.full((32, 100, 3), value, np.uint8), seed)
        assert np.ptp(result) == 0
        if not op.type.endswith(('SomeOf', 'LinearContrast', 'Sharpen')):
            assert result[0, 0, 0] == value


@pytest.mark.parametrize('op', IDENTITIES, ids=lambda op: op['type'])
@pytest.mark.parametrize('shape', [(32, 100, 3), (9, 14)])
def test_a_strength_of_zero_changes_nothing(op, shape):
    np.testing.assert_array_equal(apply(build(**op), noise(*shape)), noise(*shape))


@pytest.mark.parametrize('op', [*PAPER, VIEWS.seqclr_augmentation], ids=[*NAMES, 'all'])
def test_the_seed_decides_and_nothing_else(op):
    image = noise(32, 100, 3)
    results = [apply(build(**op), image, seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()


@pytest.mark.parametrize('op', PAPER, ids=NAMES)
def test_channels_do_not_mix(op):
    """The last two images are equal and stay equal, independent of the first."""
    image = noise(32, 100, 3)
    image[..., 2] = image[..., 1]
    result, grey = (apply(build(**op), x, 3) for x in (image, image[..., 1]))
    np.testing.assert_array_equal(result[..., 1], grey)
    np.testing.assert_array_equal(result[..., 2], grey)


@pytest.mark.parametrize(
    'name', ['LinearContrast', 'GaussianBlur', 'Sharpen', 'PiecewiseAffine', 'PerspectiveJitter']
)
def test_without_arguments_the_papers_numbers_are_taken(name):
    config = next(op for op in PAPER if op.type.endswith(name))
    image = noise(32, 100)
    np.testing.assert_array_equal(apply(build(name), image, 5), apply(build(**config), image, 5))


# One by one: oracles and known pixels.


def test_contrast_is_that_of_imgaug_and_of_the_formula():
    values = np.arange(256, dtype=np.uint8)[None]
    image = apply(build('LinearContrast', alpha=(0.7, 0.7)), values)
    np.testing.assert_array_equal(image, np.rint(127 + 0.7 * (np.arange(256.0)[None] - 127)))
    check_near(image, iaa.LinearContrast(0.7).augment_image(values))
    strong = apply(build('LinearContrast', alpha=(2, 2)), values)[0]
    assert strong[[0, 63, 64, 127, 191, 192, 255]].tolist() == [0, 0, 1, 127, 255, 255, 255]


def test_contrast_is_drawn_from_its_range():
    image, transform = np.uint8([[227]]), build('LinearContrast', alpha=(0.5, 1.0))
    drawn = [int(apply(transform, image, seed)[0, 0]) - 127 for seed in range(500)]
    assert 50 <= min(drawn) <= 52 and 98 <= max(drawn) <= 100
    assert abs(np.mean(drawn) - 75) < 3 * 14.4 / 500**0.5


@pytest.mark.parametrize('sigma', [0.5, 1.0, 1.5])
def test_blur_is_the_convolution_with_a_gaussian(sigma):
    image = noise(20, 30)
    x = np.arange(-12, 13)
    kernel = np.exp(-(x**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    wide = np.pad(image.astype(float), 12, mode='reflect')
    wide = np.apply_along_axis(np.convolve, 0, wide, kernel, 'valid')
    expected = np.apply_along_axis(np.convolve, 1, wide, kernel, 'valid')
    check_near(apply(build('GaussianBlur', sigma=(sigma, sigma)), image), expected, 2)


def test_sharpening_is_that_of_imgaug():
    image = noise(32, 100, 3)
    expected = iaa.Sharpen(alpha=0.3, lightness=0.2).augment_image(image)
    transform = build('Sharpen', alpha=(0.3, 0.3), lightness=(0.2, 0.2))
    check_near(apply(transform, image), expected)


def test_sharpening_by_hand():
    """A spot of 110 on 100: half of it, and half of 8.5 * 110 - 8 * 100 = 135; beside it half of
    100 and half of 8.5 * 100 - 7 * 100 - 110 = 40; elsewhere half of 100 and half of 50."""
    image = np.full((5, 5), 100, np.uint8)
    image[2, 2] = 110
    result = apply(build('Sharpen', alpha=(0.5, 0.5), lightness=(0.5, 0.5)), image)
    assert abs(int(result[2, 2]) - 122.5) <= 0.5
    assert result[1:4, 1:4].flatten().tolist().count(70) == 8 and result[0, 0] == 75


@pytest.mark.parametrize(
    'sides',
    [
        dict(top=0.25),
        dict(bottom=0.4),
        dict(left=0.02),
        dict(top=0.4, bottom=0.4),
        dict(left=0.1, right=0.07),
    ],
)
def test_a_crop_is_that_of_imgaug(sides):
    image = noise(32, 100, 3)
    result = apply(build('CropAndResize', **{side: (x, x) for side, x in sides.items()}), image)
    percent = tuple(sides.get(side, 0) for side in ('top', 'right', 'bottom', 'left'))
    expected = iaa.Sequential(
        [
            iaa.Crop(percent=percent, keep_size=False),
            iaa.Resize(dict(height=32, width=100), interpolation='linear'),
        ]
    )
    np.testing.assert_array_equal(result, expected.augment_image(image))


def test_a_crop_keeps_exactly_the_columns_that_are_left():
    """Two of ten columns are cut on the left, three on the right: the others double in width."""
    image = np.tile(np.uint8([0, 0, 50, 50, 50, 50, 50, 255, 255, 255]), (4, 1))
    transform = build('CropAndResize', left=(0.2, 0.2), right=(0.3, 0.3))
    assert (apply(transform, image) == 50).all()
    assert (apply(build('CropAndResize', left=(0.2, 0.2), right=(0.2, 0.2)), image) != 50).any()


def test_the_sides_are_cut_independently_and_up_to_the_ends_of_their_ranges():
    image = np.repeat(np.arange(100, dtype=np.uint8)[:, None], 3, axis=1)
    transform = build('CropAndResize', top=(0, 0.4), bottom=(0, 0.4))
    results = [apply(transform, image, seed) for seed in range(400)]
    tops = np.array([int(x[0, 0]) for x in results])
    bottoms = np.array([99 - int(x[-1, 0]) for x in results])
    for cut in (tops, bottoms):
        assert cut.min() <= 1 and 38 <= cut.max() <= 41 and abs(cut.mean() - 20) < 2
    assert abs(np.corrcoef(tops, bottoms)[0, 1]) < 0.2


def test_a_crop_leaves_a_pixel_of_the_smallest_image():
    transform = build('CropAndResize', top=(0.5, 0.5), bottom=(0.49, 0.49))
    for height in (1, 2, 3):
        values = np.arange(height, dtype=np.uint8)[:, None]
        assert set(apply(transform, values).flatten()) <= set(range(height))


@pytest.fixture
def moves(monkeypatch):
    """Sets the draws from a normal distribution, in units of its standard deviation."""

    def set_moves(values):
        monkeypatch.setattr(
            np.random, 'normal', lambda _, scale, size: scale * np.broadcast_to(values, size)
        )

    return set_moves


def test_the_points_of_the_grid_go_where_they_were_sent(moves):
    """By 2.97 columns, a third of the way from 0 to 99 being 33, and 1.28 rows of 32."""
    values = np.zeros((2, 3, 4))
    values[:, 1, 1] = 1.5, -2
    moves(values)
    transform = build('PiecewiseAffine', scale=(0.02, 0.02), rows=3, cols=4)
    found = origins(apply(transform, ramps()))
    np.testing.assert_allclose(found[16, 33], [33 + 2.97, 16 - 1.28], atol=0.27)
    # Halfway to a neighbour, half of it; in the middle of a cell, a quarter; beyond, nothing.
    np.testing.assert_allclose(found[8, 33], [33 + 1.49, 8 - 0.64], atol=0.27)
    np.testing.assert_allclose(found[24, 50], [50 + 0.72, 24 - 0.31], atol=0.27)
    rest = np.r_[:1, 66:100]
    np.testing.assert_array_equal(found[:, rest], origins(ramps())[:, rest])


def test_draws_are_cut_at_a_quarter_of_a_cell(moves):
    moves(np.float64([100, 0]).reshape(2, 1, 1))
    found = origins(apply(build('PiecewiseAffine', rows=5, cols=3), ramps()))
    np.testing.assert_allclose(
        found[:, 10],
        np.tile([10 + 0.125 * 99, 0], (33, 1)) + [[0, y] for y in range(33)],
        atol=0.26,
    )
    # What would come from outside repeats the edge.
    np.testing.assert_array_equal(found[:, 90:, 0], 99)


@pytest.mark.parametrize(
    'name, kwargs',
    [
        ('PiecewiseAffine', dict(scale=(0.08, 0.08))),
        ('PerspectiveJitter', dict(scale=(0.25, 0.25))),
    ],
)
def test_columns_keep_their_order_in_each_row_at_any_strength(name, kwargs):
    transform = build(name, **kwargs)
    for seed in range(100):
        # Nowhere do columns go back, and there is always something that moved.
        found = apply(transform, ramps(), seed)[..., 0].astype(int)
        assert np.diff(found, axis=1).min() >= 0
        assert (found != ramps()[..., 0]).any()


def test_as_much_is_moved_as_by_imgaug():
    """Two ways to interpolate, one distribution."""
    ours, theirs = (
        build('PiecewiseAffine', scale=(0.03, 0.03)),
        iaa.PiecewiseAffine(scale=0.03, mode='edge', seed=1),
    )
    place = ramps(32, 100)
    shifts = [[], []]
    for seed in range(40):
        for kept, moved in zip(shifts, (apply(ours, place, seed), theirs.augment_image(place))):
            kept.append(moved[4:-4, 8:-8].astype(float) - place[4:-4, 8:-8])
    for axis in (0, 1):
        first, second = (np.stack(kept)[..., axis].std() for kept in shifts)
        assert 0.8 < first / second < 1.25


def test_corners_come_from_inside_and_the_middle_stays_in_symmetry(moves):
    """All corners 10 % inside: the image is magnified around its middle."""
    moves(np.float64([1, -1]))
    image = ramps(33, 101)
    found = origins(apply(build('PerspectiveJitter', scale=(0.1, 0.1)), image))
    for place, expected in {
        (0, 0): (10, 3.2),
        (0, 100): (90, 3.2),
        (32, 0): (10, 28.8),
        (32, 100): (90, 28.8),
        (16, 50): (50, 16),
        (8, 25): (30, 9.6),
    }.items():
        np.testing.assert_allclose(found[place], expected, atol=0.3)


def test_a_perspective_has_no_affine_middle(moves):
    """One corner moves; the diagonals still cross where those of the new corners do."""
    values = np.zeros((4, 2))
    values[2] = 1  # the lower right corner
    moves(values)
    found = origins(apply(build('PerspectiveJitter', scale=(0.2, 0.2)), ramps(33, 101)))
    np.testing.assert_allclose(found[32, 100], [80, 25.6], atol=0.3)
    for corner in ((0, 0), (0, 100), (32, 0)):
        np.testing.assert_allclose(found[corner], corner[::-1], atol=0.3)
    # x / 100 = y / 32 on one diagonal, x / 100 + y / 32 = 1 on the other.
    np.testing.assert_allclose(found[16, 50], [50, 16], atol=0.3)
    # A straight line stays one: the right edge comes from that from (100, 0) to (80, 25.6).
    x, y = found[:, 100].T
    np.testing.assert_allclose(x, 100 - 20 * y / 25.6, atol=0.5)


# Some of them.


class Note:
    """Records that it was called."""

    def __init__(self, name):
        self.name = name

    def __call__(self, results):
        return {**results, 'called': [*results['called'], self.name]}


def called(seed, **kwargs):
    np.random.seed(seed)
    transform = build('SomeOf', transforms=[Note(i) for i in range(7)], **kwargs)
    return transform(dict(called=[]))['called']


def test_each_number_is_as_likely_as_the_others_and_none_is_called_twice():
    calls = [called(seed) for seed in range(1000)]
    assert all(len(set(names)) == len(names) for names in calls)
    counts = Counter(map(len, calls))
    assert set(counts) == {1, 2, 3, 4, 5} and min(counts.values()) > 150
    first = Counter(names[0] for names in calls)
    assert set(first) == set(range(7)) and min(first.values()) > 100
    assert any(names != sorted(names) for names in calls)


def test_the_order_can_be_kept():
    calls = [called(seed, random_order=False) for seed in range(100)]
    assert all(names == sorted(names) for names in calls)
    assert len({tuple(names) for names in calls}) > 20


def test_no_more_than_there_are():
    assert {len(called(seed, num=(6, 99))) for seed in range(50)} == {6, 7}


def test_an_image_that_a_transform_drops_is_dropped():
    transform = build('SomeOf', transforms=[lambda results: None], num=(1, 1))
    assert transform(dict(img=noise(4, 4))) is None


# Errors.


@pytest.mark.parametrize(
    'op, message',
    [
        (dict(type='LinearContrast', alpha=(1.0, 0.5)), r'alpha must be two .* got \(1.0, 0.5\)'),
        (
            dict(type='LinearContrast', alpha=0.5),
            'alpha must be two .* got 0.5; give the same number',
        ),
        (dict(type='LinearContrast', alpha=(-1, 1)), 'of at least 0'),
        (dict(type='GaussianBlur', sigma=(0, float('inf'))), 'sigma'),
        (dict(type='GaussianBlur', sigma=(0, 1, 2)), 'sigma'),
        (dict(type='GaussianBlur', sigma='01'), 'sigma'),
        (dict(type='Sharpen', alpha=(0, 1.1)), 'alpha .* from 0 to 1'),
        (dict(type='Sharpen', lightness=(None, 1)), 'lightness'),
        (dict(type='CropAndResize', left=(0, 1.5)), 'left'),
        (dict(type='CropAndResize', top=(0, 0.5), bottom=(0, 0.5)), 'top and bottom .* 100%'),
        (dict(type='CropAndResize', left=(0, 0.9), right=(0.1, 0.2)), 'left and right'),
        (dict(type='PiecewiseAffine', scale=(0, 0.1)), 'quarter of a cell, 0.0833 on 4 x 4'),
        (dict(type='PiecewiseAffine', rows=1), 'rows must be an integer of at least 2, got 1'),
        (dict(type='PiecewiseAffine', cols=2.5), 'cols'),
        (dict(type='PerspectiveJitter', scale=(0, 0.3)), 'scale .* from 0 to 0.25'),
        (dict(type='SomeOf', transforms=PAPER, num=(5, 1)), 'num'),
        (dict(type='SomeOf', transforms=PAPER, num=(0.5, 1)), 'num must be two integers'),
        (dict(type='SomeOf', transforms=PAPER, num=(8, 9)), 'at most 7'),
    ],
)
def test_arguments_that_make_no_sense_are_an_error_that_names_them(op, message):
    with pytest.raises(ValueError, match=message):
        build(**op)


@pytest.mark.parametrize('image', [np.zeros((4, 4), np.float32), np.zeros(4, np.uint8)])
def test_an_image_of_another_kind_is_an_error(image):
    with pytest.raises(ValueError, match='LinearContrast needs a uint8 image .* got .*4'):
        apply(build('LinearContrast'), image)


def test_they_tell_what_they_are():
    assert repr(build('PiecewiseAffine', scale=[0, 0.03])) == (
        'PiecewiseAffine(scale=(0, 0.03), rows=4, cols=4)'
    )
    text = repr(build(**VIEWS.seqclr_augmentation))
    assert 'num=(1, 5)' in text and 'CropAndResize(top=(0, 0.4), bottom=(0, 0.4)' in text
