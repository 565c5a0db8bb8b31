"""The small RRPN of the configs with one key forgotten or one too many."""

import copy
from pathlib import Path

import pytest
from mmengine.config import Config, ConfigDict

from mmocr_da.registry import MODELS

CONFIG = Path(__file__).parents[3] / 'configs/learned_surrogate/small/small_rrpn_scenes.py'
OURS = [
    dict(type='mmocr_da.RotatedIoULoss'),
    dict(type='mmocr_da.KFIoULoss'),
    dict(type='mmocr_da.GWDLoss'),
    dict(type='mmocr_da.LSIoULoss', surrogate=dict(approximation='local')),
]
HEADS = ['rpn_head', 'roi_head.bbox_head']


@pytest.fixture(scope='module')
def cfg():
    return Config.fromfile(CONFIG).model


@pytest.fixture
def build(cfg):

    def make(head, **options):
        model = copy.deepcopy(cfg)
        node = model.cfg
        for key in head.split('.'):
            node = node[key]
        for key, value in options.items():
            node[key] = ConfigDict(value) if isinstance(value, dict) else value
        return MODELS.build(model)

    return make


@pytest.mark.parametrize('head', HEADS)
@pytest.mark.parametrize('loss', OURS, ids=lambda loss: loss['type'])
def test_a_loss_of_boxes_needs_boxes(build, head, loss):
    """Offsets are boxes without an area to it: its loss would be 0."""
    with pytest.raises(
        ValueError,
        match=rf'^{head} has the loss_bbox {loss["type"][9:]}, which '
        rf'compares boxes.*set reg_decoded_bbox=True in {head}',
    ):
        build(head, loss_bbox=loss)
    assert build(head, loss_bbox=loss, reg_decoded_bbox=True)


@pytest.mark.parametrize('head', HEADS)
@pytest.mark.parametrize('loss', ['SmoothL1Loss', 'L1Loss'])
def test_a_loss_of_offsets_needs_offsets(build, head, loss):
    with pytest.raises(
        ValueError,
        match=rf'^{head} has the loss_bbox {loss}, which compares '
        r'offsets.*pixels and radians',
    ):
        build(head, loss_bbox=dict(type=loss), reg_decoded_bbox=True)


@pytest.mark.parametrize('decoded', [False, True])
@pytest.mark.parametrize('head', HEADS)
def test_a_loss_of_boxes_of_four_numbers_is_refused(build, head, decoded):
    with pytest.raises(ValueError, match=rf'^{head} has rotated boxes.*GIoULoss.*RotatedIoULoss'):
        build(head, loss_bbox=dict(type='GIoULoss'), reg_decoded_bbox=decoded)


@pytest.mark.parametrize(
    'head, found',
    [
        ('rpn_head', '4 in rpn_head, 5 in roi_head.bbox_head with rotated anchors'),
        ('roi_head.bbox_head', '5 in rpn_head, 4 in roi_head.bbox_head with rotated anchors'),
    ],
)
def test_heads_of_different_numbers_of_values_are_refused(build, head, found):
    with pytest.raises(ValueError, match=f'the same number of values, 5 for .*, got {found}'):
        build(head, bbox_coder=dict(type='DeltaXYWHBBoxCoder'))


def test_a_detector_of_boxes_of_four_numbers_may_compare_them_decoded(cfg):
    """MMDetection's own, as Sparse R-CNN has it."""
    model = copy.deepcopy(cfg)
    model.cfg = Config.fromfile(
        CONFIG.parents[2] / 'bin/mask-rcnn_bin_resnet50_fpn_160e_icdar2015.py'
    ).model.cfg
    model.cfg.data_preprocessor.boxtype2tensor = False
    model.cfg.backbone.init_cfg = None
    head = model.cfg.roi_head.bbox_head
    for loss, decoded in (('L1Loss', True), ('L1Loss', False), ('GIoULoss', True)):
        head.loss_bbox, head.reg_decoded_bbox = ConfigDict(type=loss), decoded
        assert MODELS.build(copy.deepcopy(model))
