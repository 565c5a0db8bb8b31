"""A weak and a strong view of one image."""

import numpy as np
import pytest
import torch
from mmocr.structures import TextRecogDataSample

from mmocr_da.datasets import WeakStrongViews

PACK = dict(
    type='PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'valid_ratio')
)
BRIGHT = dict(type='TorchVisionWrapper', op='ColorJitter', brightness=(2, 2))
RESIZE = dict(type='Resize', scale=(32, 16))


def item():
    return dict(
        img=np.full((10, 20, 3), 50, np.uint8),
        img_path='a.png',
        ori_shape=(10, 20),
        img_shape=(10, 20),
        gt_texts=['no label of the teacher'],
    )


def test_both_views_start_from_the_same_image():
    views = WeakStrongViews(weak=[PACK], strong=[BRIGHT, RESIZE, PACK])
    data = item()
    out = views(data)
    assert (data['img'] == 50).all()
    assert out['inputs'].shape == (3, 16, 32) and (out['inputs'] == 100).all()
    sample = out['data_samples']
    assert isinstance(sample, TextRecogDataSample) and sample.img_shape == (16, 32)
    assert sample.gt_text.item == 'no label of the teacher'
    weak = sample.weak_view
    assert weak.image.shape == (3, 10, 20) and weak.image.dtype == np.uint8
    assert (weak.image == 50).all() and weak.img_shape == (10, 20)
    assert 'gt_text' not in weak


def test_the_weak_view_is_that_of_its_pipeline_alone():
    from mmcv.transforms import Compose

    out = WeakStrongViews(weak=[RESIZE, PACK], strong=[BRIGHT, PACK])(item())
    alone = Compose([RESIZE, PACK])(item())
    assert torch.equal(torch.from_numpy(out['data_samples'].weak_view.image), alone['inputs'])
    weak = out['data_samples'].weak_view.metainfo
    assert weak == alone['data_samples'].metainfo


SCENE = dict(type='PackTextDetInputs', meta_keys=('img_path', 'img_shape'))
FLIP = dict(type='mmdet.RandomFlip', prob=1.0)
HALF = dict(type='mmdet.Resize', scale_factor=0.5)


def scene(views, **keys):
    return views(dict(item(), scale_factor=(1.0, 1.0), **keys))['data_samples'].weak_view.metainfo


def test_the_weak_view_of_a_scene_says_where_its_points_are_in_the_strong_one():
    views = WeakStrongViews(weak=[SCENE], strong=[FLIP, BRIGHT, HALF, SCENE])
    expected = np.array([[-0.5, 0, 10], [0, 0.5, 0], [0, 0, 1]])
    np.testing.assert_allclose(scene(views)['to_strong'], expected)
    # What both have in common before does not count, and what the weak view does is undone.
    before = dict(homography_matrix=np.diag([4.0, 3, 1]))
    np.testing.assert_allclose(scene(views, **before)['to_strong'], expected)
    back = WeakStrongViews(weak=[FLIP, HALF, SCENE], strong=[SCENE])
    np.testing.assert_allclose(scene(back, **before)['to_strong'], np.linalg.inv(expected))
    for same in ([], [FLIP, HALF]):
        views = WeakStrongViews(weak=[*same, SCENE], strong=[*same, BRIGHT, SCENE])
        assert scene(views, **before).keys() == {'img_path', 'img_shape'}


def test_the_weak_view_of_a_scene_names_what_is_not_recorded():
    some = dict(type='RandomApply', transforms=[dict(type='RandomRotate', max_angle=5)], prob=0.5)
    views = WeakStrongViews(weak=[SCENE], strong=[some, FLIP, RESIZE, BRIGHT, SCENE])
    assert scene(views)['unrecorded'] == ('RandomRotate', 'Resize')


def test_its_transforms_can_be_listed():
    views = WeakStrongViews(weak=[PACK], strong=[BRIGHT, PACK])
    assert len(list(views)) == 3
    assert 'ColorJitter' in repr(views)


def test_errors_say_what_is_missing():
    views = WeakStrongViews(weak=[RESIZE], strong=[PACK])
    with pytest.raises(ValueError, match="needs a loaded image 'img'.*LoadImageFromFile"):
        views(dict(img_path='a.png'))
    with pytest.raises(ValueError, match='weak must end with PackTextRecogInputs or Pack'):
        views(item())
