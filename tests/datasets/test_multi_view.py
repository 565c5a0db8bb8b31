"""Views are independent draws of one image; transforms that misalign columns are refused."""

import random
import time
from pathlib import Path

import imgaug
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import TRANSFORMS

from mmocr_da.datasets import check_column_order
from mmocr_da.datasets.multi_view import _fault_of, _follow

VIEWS = Config.fromfile(Path(__file__).parents[2] / 'configs/_base_/datasets/seqclr_views.py')
PACK = dict(type='PackTextRecogInputs', meta_keys=('img_path', 'img_shape'))


def multi_view(*transforms, **kwargs):
    return TRANSFORMS.build(dict(type='mmocr_da.MultiView', transforms=transforms, **kwargs))


def loaded(*shape, **kwargs):
    image = np.random.default_rng(0).integers(0, 256, shape or (32, 100, 3), dtype=np.uint8)
    return dict(img=image, img_path='a.png', img_shape=image.shape[:2], gt_texts=['abc'], **kwargs)


def torchvision(op, **kwargs):
    return dict(type='TorchVisionWrapper', op=op, **kwargs)


def imgaug_ops(*args):
    return dict(type='ImgAugWrapper', args=[list(arg) for arg in args])


def some_of(*transforms):
    return dict(type='mmocr_da.SomeOf', transforms=list(transforms), num=(1, 1))


class OnColumns:
    """Replaces the W columns by ``columns(W)``, in ``40 - after`` of 40 draws."""

    def __init__(self, columns, after=0):
        self.columns, self.after = columns, after

    def __call__(self, results):
        if np.random.permutation(40)[0] >= self.after:
            results['img'] = results['img'][:, self.columns(results['img'].shape[1])]
        return results


# The views.


@pytest.mark.parametrize('num_views', [2, 3])
@pytest.mark.parametrize('shape', [(32, 100, 3), (32, 100, 1), (32, 100)])
def test_an_item_has_a_list_of_images_and_one_of_samples(num_views, shape):
    transform = multi_view(VIEWS.seqclr_augmentation, PACK, num_views=num_views, keep_order=False)
    item = transform(loaded(*shape))
    assert item.keys() == {'inputs', 'data_samples'}
    assert [len(part) for part in item.values()] == [num_views] * 2
    for image, sample in zip(*item.values()):
        assert image.shape == (*shape, 1)[2:3] + shape[:2] and image.dtype == torch.uint8
        assert sample.img_path == 'a.png' and sample.gt_text.item == 'abc'


def test_without_augmentation_all_views_are_the_image():
    results = loaded()
    expected = torch.from_numpy(results['img']).permute(2, 0, 1)
    for view in multi_view(PACK)(results)['inputs']:
        assert view.equal(expected)


def test_views_are_drawn_independently_and_by_the_seed():
    transform = multi_view(VIEWS.seqclr_augmentation, PACK, keep_order=False)

    def views(seed):
        np.random.seed(seed)
        return transform(loaded())['inputs']

    pairs = [views(seed) for seed in range(10)]
    assert all(not first.equal(second) for first, second in pairs)
    assert all(x.equal(y) for x, y in zip(pairs[3], views(3)))


def test_the_first_view_is_what_the_pipeline_alone_gives():
    np.random.seed(1)
    expected = Compose([VIEWS.seqclr_augmentation, PACK])(loaded())['inputs']
    np.random.seed(1)
    transform = multi_view(VIEWS.seqclr_augmentation, PACK, keep_order=False)
    assert transform(loaded())['inputs'][0].equal(expected)


def test_no_view_sees_what_another_did():
    """Each doubles the image in place, appends to a list and adds a key."""

    def greedy(results):
        assert 'extra' not in results
        results['img'] *= 2
        results['gt_texts'].append('more')
        results['extra'] = 1
        results['gt_texts'] = results['gt_texts'][:1] * (len(results['gt_texts']) - 1)
        return results

    results = loaded()
    image = results['img'].copy()
    item = multi_view(greedy, PACK, keep_order=False)(results)
    for view in item['inputs']:
        np.testing.assert_array_equal(view.permute(1, 2, 0), 2 * image)
    np.testing.assert_array_equal(results['img'], image)
    assert results['gt_texts'] == ['abc'] and 'extra' not in results


@pytest.mark.parametrize('dropped', [0, 1])
def test_without_one_of_the_views_there_is_none(dropped):
    calls = iter(range(2))
    drop = multi_view(
        lambda results: None if next(calls) == dropped else results, PACK, keep_order=False
    )
    assert drop(loaded()) is None


def test_what_is_not_loaded_or_not_packed_is_an_error_that_tells_what_to_do():
    with pytest.raises(ValueError, match=r"'img', got \['img_path'\]: put LoadImageFromFile"):
        multi_view(PACK)(dict(img_path='a.png'))
    with pytest.raises(ValueError, match='must end with PackTextRecogInputs.*gt_texts'):
        multi_view(VIEWS.seqclr_augmentation, keep_order=False)(loaded())


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(num_views=1), 'num_views must be an integer of at least 2, got 1'),
        (dict(num_views=2.0), 'num_views'),
        (dict(max_shift=0), 'max_shift must be .* got 0'),
        (dict(max_shift=1.5), 'max_shift'),
        (dict(max_shift='a'), 'max_shift'),
    ],
)
def test_arguments_that_make_no_sense_are_an_error_that_names_them(kwargs, message):
    with pytest.raises(ValueError, match=message):
        multi_view(PACK, **kwargs)


def test_it_tells_what_it_is():
    text = repr(multi_view(VIEWS.seqclr_augmentation, PACK))
    assert text.startswith('MultiView(') and 'PiecewiseAffine' in text and 'num_views=2' in text


# The order of columns.

REFUSED = {
    'flip': (torchvision('RandomHorizontalFlip'), r'RandomHorizontalFlip.* 90 % .* to 10 %'),
    'rare-flip': (torchvision('RandomHorizontalFlip', p=0.2), 'RandomHorizontalFlip'),
    'imgaug-flip': (imgaug_ops(['Fliplr', 0.5]), 'Fliplr.* moves the column at 90 %'),
    'mmcv-flip': (dict(type='mmcv.RandomFlip', prob=0.5), 'RandomFlip moves the column at 90 %'),
    'mmocr-flip': (dict(type='mmocr.RandomFlip', prob=0.5, direction='horizontal'), 'RandomFlip'),
    'rotation': (
        torchvision('RandomRotation', degrees=30),
        'RandomRotation.* 10 % and 90 % of the width, as a large rotation',
    ),
    'turn': (imgaug_ops(['Rot90', 1]), 'Rot90.* moves the column at 10 % .* to 50 %'),
    'resized-crop': (torchvision('RandomResizedCrop', size=(32, 100)), 'RandomResizedCrop'),
    'wide-crop': (dict(type='mmocr_da.CropAndResize', left=(0, 0.3)), 'CropAndResize moves the'),
    'center-crop': (dict(type='mmcv.CenterCrop', crop_size=(50, 32)), 'CenterCrop moves'),
    'translation': (torchvision('RandomAffine', degrees=0, translate=(0.2, 0)), 'RandomAffine'),
    'perspective': (torchvision('RandomPerspective'), 'RandomPerspective.* moves the column'),
    'shuffle': (OnColumns(np.random.permutation), 'OnColumns'),
    'narrow-crop': (OnColumns(lambda w: np.full(w, w // 2)), 'leaves nothing of the image in 40'),
    'wide-mask': (
        OnColumns(lambda w: np.where(abs(np.arange(w) - 40) < 25, 0, np.arange(w))),
        'removes the columns at 30 % and 50 % of the width',
    ),
    'nothing': (OnColumns(lambda w: np.full(w, 1)), 'leaves nothing of the image in 40 of 40'),
    'dropped': (lambda results: None, 'leaves nothing'),
}
KEPT = {
    'seqclr': VIEWS.seqclr_augmentation,
    'light': VIEWS.light_augmentation,
    'small-rotation': torchvision('RandomRotation', degrees=2),
    'small-translation': torchvision('RandomAffine', degrees=0, translate=(0.05, 0)),
    'vertical-flip': torchvision('RandomVerticalFlip', p=1.0),
    'jitter': torchvision('ColorJitter', brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2),
    'grey': torchvision('RandomGrayscale', p=0.5),
    'solarize': torchvision('RandomSolarize', threshold=128),
    'invert': torchvision('RandomInvert'),
    'equalize': torchvision('RandomEqualize'),
    'autocontrast': torchvision('RandomAutocontrast'),
    'posterize': torchvision('RandomPosterize', bits=1),
    'noise': imgaug_ops(['AdditiveGaussianNoise', 0, 30]),
    'noise-of-the-image': imgaug_ops(['AdditivePoissonNoise', 20]),
    'noise-without-seed': lambda results: dict(
        results,
        img=results['img']
        + np.random.default_rng(int(results['img'].sum())).integers(
            0, 30, results['img'].shape, dtype=np.uint8
        ),
    ),
    'jpeg': imgaug_ops(['JpegCompression', [80, 90]]),
    'cutout': imgaug_ops(['Cutout']),
    'two-gaussians': imgaug_ops(['GaussianBlur', [0, 2.0]], ['Sharpen', [0, 0.5]]),
    'resize': dict(type='Resize', scale=(160, 48), keep_ratio=False),
    'rescale': dict(type='RescaleToHeight', height=48),
    'pad-to-width': dict(type='PadToWidth', width=250),
    'pad': dict(type='Pad', size=(250, 64)),
    'normalize': dict(type='mmcv.Normalize', mean=[127] * 3, std=[255] * 3),
    'for-grey-images': lambda results: dict(
        results, img=np.ascontiguousarray(results['img'].reshape(32, 100)[::-1])
    ),
    'load': dict(type='LoadImageFromFile'),
    'annotations': dict(type='LoadOCRAnnotations', with_text=True),
    'pack': PACK,
}


@pytest.mark.parametrize('name', REFUSED)
def test_what_moves_columns_is_refused_by_name(name):
    transform, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as caught:
        check_column_order([transform])
    assert 'keep_order=False' in str(caught.value)


@pytest.mark.parametrize('name', KEPT)
def test_what_keeps_columns_passes(name):
    check_column_order(KEPT[name])


def test_the_transforms_of_the_paper_pass_by_far():
    """Columns also keep their places in draws other than those of the check."""
    images = np.full((2, 32, 100), 80, np.uint8)
    images[1, :, 49:51] = 200
    for transform in Compose(VIEWS.seqclr_augmentation.transforms):
        shifts = [_follow(transform, images, seed) - 0.5 for seed in range(1000, 1300)]
        assert max(np.nanmax(np.abs(shift)) for shift in shifts) < 0.1


def test_simclr_is_refused_unless_it_is_asked_for():
    transforms = [*VIEWS.simclr_augmentations, PACK]
    with pytest.raises(ValueError, match='RandomResizedCrop'):
        multi_view(*transforms)
    with pytest.raises(ValueError, match='RandomHorizontalFlip'):
        multi_view(*transforms[1:])
    multi_view(*transforms[2:])
    for shape in ((32, 100, 3), (32, 100)):
        torch.manual_seed(1)
        first, second = multi_view(*transforms, keep_order=False)(loaded(*shape))['inputs']
        assert first.shape == second.shape == (len(shape[2:]) * 2 + 1, 32, 100)
        assert not first.equal(second)


@pytest.mark.parametrize(
    'container',
    [
        lambda flip: [some_of(*[dict(type='mmocr_da.Sharpen')] * 6, flip)],
        lambda flip: dict(type='mmcv.RandomApply', prob=1e-9, transforms=[flip]),
        lambda flip: dict(
            type='mmcv.RandomChoice',
            prob=[1.0, 0.0],
            transforms=[[dict(type='mmocr_da.Sharpen')], [dict(type='mmocr_da.Sharpen'), flip]],
        ),
        lambda flip: dict(type='mmcv.Compose', transforms=[some_of(some_of(flip))]),
        lambda flip: dict(type='mmocr.ConditionApply', condition='False', true_transforms=[flip]),
        lambda flip: dict(type='mmcv.KeyMapper', transforms=[flip]),
    ],
)
def test_containers_are_looked_into_and_the_culprit_is_named(container):
    check_column_order(container(dict(type='mmocr_da.LinearContrast')))
    with pytest.raises(ValueError, match='but TorchVisionWrapper.*RandomHorizontalFlip.* moves'):
        check_column_order(container(torchvision('RandomHorizontalFlip', p=1.0)))


@pytest.mark.parametrize('pixels, refused', [(8, False), (12, True)])
def test_the_largest_shift_is_that_of_the_argument(pixels, refused):
    shift = OnColumns(lambda width: np.clip(np.arange(width) - pixels, 0, None))
    assert (_fault_of(shift, 0.1) is not None) == refused
    assert (_fault_of(shift, (pixels + 0.5) / 100) is None) and (
        _fault_of(shift, (pixels - 0.5) / 100) is not None
    )


def test_shifts_are_read_where_they_are():
    """The columns from 20 % to 80 % of the width are stretched to the full width."""
    zoom = OnColumns(lambda width: 20 + np.arange(width) * 60 // 100)
    assert _fault_of(zoom, 0.12) == 'moves the column at 70 % of the width to 83 %'


def test_neighbours_that_are_swapped_are_found_though_they_moved_little():
    blocks = np.arange(100).reshape(5, 20)[[0, 2, 1, 3, 4]].flatten()
    swap = OnColumns(lambda width: blocks)
    assert _fault_of(swap, 0.25) == 'swaps the columns at 30 % and 50 % of the width'
    assert 'moves the column at 30 % of the width to 50 %' == _fault_of(swap, 0.1)


def test_what_happens_in_one_of_twenty_images_is_found():
    assert _fault_of(OnColumns(lambda width: np.arange(width)[::-1], after=38), 0.1)


def test_what_raises_for_grey_and_for_colour_raises():
    with pytest.raises(KeyError, match='polygons'):
        check_column_order(lambda results: results['polygons'])


def test_no_random_number_is_used_up_and_no_transform_is_changed():
    transforms = Compose(
        [
            dict(type='PyramidRescale'),
            VIEWS.seqclr_augmentation,
            imgaug_ops(['GaussianBlur', [0, 1.0]]),
            torchvision('RandomRotation', degrees=2),
        ]
    )
    before = repr(transforms)

    def draw():
        return (
            random.random(),
            np.random.rand(),
            torch.rand(1).item(),
            imgaug.random.get_global_rng().random(1)[0],
        )

    def seed():
        random.seed(1), np.random.seed(1), torch.manual_seed(1), imgaug.random.seed(1)

    seed()
    expected = draw()
    seed()
    check_column_order(transforms)
    assert draw() == expected and repr(transforms) == before


def test_none_is_used_up_either_where_imgaug_draws_its_first_seed(monkeypatch):
    monkeypatch.setattr(imgaug.random, 'GLOBAL_RNG', None)
    np.random.seed(1)
    expected = np.random.rand()
    np.random.seed(1)
    check_column_order(dict(type='mmocr_da.LinearContrast'))
    assert np.random.rand() == expected


def test_it_takes_less_than_two_seconds():
    transforms = Compose(VIEWS.seqclr_augmentation)
    times = []
    for _ in range(3):
        start = time.process_time()
        check_column_order(transforms)
        times.append(time.process_time() - start)
    assert min(times) < 2  # 1.0 on a slow core beside other programs
