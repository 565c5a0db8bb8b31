import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmocr.registry import TRANSFORMS

from mmocr_da.datasets.view_geometry import between, run, unrecorded


@pytest.fixture
def build():
    def build(*steps):
        init_default_scope('mmocr')
        return [TRANSFORMS.build(dict(step)) for step in steps]

    return build


RECORDING = dict(
    flip=dict(type='mmdet.RandomFlip', prob=1.0, direction='diagonal'),
    resize=dict(type='mmdet.Resize', scale=(90, 40), keep_ratio=False),
    crop=dict(type='mmdet.RandomCrop', crop_size=(40, 50), allow_negative_crop=True),
    rotate=dict(type='mmdet.Rotate', min_mag=20.0, max_mag=20.0),
    shear=dict(type='mmdet.ShearX', min_mag=15.0, max_mag=15.0),
    translate=dict(type='mmdet.TranslateY', min_mag=0.2, max_mag=0.2),
)


@pytest.mark.parametrize('names', [*([name] for name in RECORDING), list(RECORDING)])
def test_the_matrix_says_where_the_pixels_are(build, names):
    """A bright quadrilateral of the first image, mapped, covers the bright pixels of the second."""
    np.random.seed(1)
    polygon = np.array([[20, 18], [48, 22], [46, 38], [22, 36]], float)
    image = cv2.fillPoly(np.zeros((60, 80, 3), np.uint8), [polygon.astype(int)], (255, 255, 255))
    steps = build(*(RECORDING[name] for name in names))
    results = dict(img=image, img_shape=image.shape[:2], scale_factor=(1.0, 1.0))
    out, matrix = run(steps, results)
    assert not np.array_equal(matrix, np.eye(3))
    mapped = np.c_[polygon + 0.5, np.ones(4)] @ matrix.T
    mapped = mapped[:, :2] / mapped[:, 2:] - 0.5
    height, width = out['img'].shape[:2]
    expected = cv2.fillPoly(np.zeros((height, width), np.uint8), [np.rint(mapped).astype(int)], 255)
    bright, covered = out['img'][:, :, 0] > 192, expected > 0
    assert (bright & covered).sum() > 100
    assert (bright & covered).sum() / (bright | covered).sum() > 0.85
    assert unrecorded(steps) == ()


def test_the_matrix_between_views_undoes_the_first_and_does_the_second():
    flip, scale = np.array([[-1.0, 0, 8], [0, 1, 0], [0, 0, 1]]), np.diag([0.5, 0.25, 1])
    np.testing.assert_allclose(between(flip, scale) @ flip, scale)
    assert between(flip, flip.copy()) is None


def test_a_step_without_a_result_ends_the_run():
    out, matrix = run([lambda data: None, pytest.fail], dict(img=0))
    assert out is None and np.array_equal(matrix, np.eye(3))


def test_steps_that_move_pixels_without_a_record_are_named(build):
    colour = dict(type='TorchVisionWrapper', op='ColorJitter', brightness=0.1)
    turn = dict(type='TorchVisionWrapper', op='RandomRotation', degrees=5)
    steps = build(
        colour,
        dict(type='Pad', size=(9, 9)),
        dict(type='RandomChoice', transforms=[[dict(type='RandomFlip', prob=0.5)], [colour]]),
        dict(type='RandomResize', scale=(9, 9), ratio_range=(1.0, 2.0)),
        turn,
        dict(type='RandomResize', scale=(9, 9), ratio_range=(1.0, 2.0), resize_type='mmdet.Resize'),
    )
    assert unrecorded(steps) == ('RandomFlip', 'Resize', 'TorchVisionWrapper')


@pytest.mark.parametrize(
    'step, names',
    [
        (dict(type='TorchVisionWrapper', op='RandAugment'), ('TorchVisionWrapper',)),
        (dict(type='TorchVisionWrapper', op='TrivialAugmentWide'), ('TorchVisionWrapper',)),
        (
            dict(
                type='ConditionApply',
                condition='True',
                true_transforms=[dict(type='Resize', scale=(9, 9))],
                false_transforms=[dict(type='RandomFlip', prob=1.0)],
            ),
            ('Resize', 'RandomFlip'),
        ),
        (dict(type='RandomChoiceResize', scales=[(9, 9)], resize_type='Resize'), ('Resize',)),
        (dict(type='RandomChoiceResize', scales=[(9, 9)], resize_type='mmdet.Resize'), ()),
        (dict(type='mmdet.ResizeShortestEdge', scale=9), ('Resize',)),
        (dict(type='mmdet.RandomShift'), ('RandomShift',)),
    ],
)
def test_no_transform_moves_pixels_unseen(build, step, names):
    assert unrecorded(build(step)) == names
