"""All detectors that can be adapted, as narrow as possible, and scenes with their labels."""

import copy

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmocr.structures import TextDetDataSample

from mmocr_da.registry import MODELS
from mmocr_da.structures import RotatedBoxes, corners_of

FILES = dict(
    DBNet='mmocr::textdet/dbnet/_base_dbnet_resnet18_fpnc.py',
    PANet='mmocr::textdet/panet/_base_panet_resnet18_fpem-ffm.py',
    PSENet='mmocr::textdet/psenet/_base_psenet_resnet50_fpnf.py',
    FCENet='mmocr::textdet/fcenet/_base_fcenet_resnet50_fpn.py',
    TextSnake='mmocr::textdet/textsnake/_base_textsnake_resnet50_fpn-unet.py',
    DRRG='mmocr::textdet/drrg/_base_drrg_resnet50_fpn-unet.py',
    MMDetWrapper='mmocr::textdet/maskrcnn/_base_mask-rcnn_resnet50_fpn.py',
    RotatedMMDetWrapper='mmocr_da::_base_/small_rrpn.py',
)
CHANNELS = [8, 16, 32, 64]
#: Boxes of text in scenes of ``SIZE``: centre, size, angle.
BOXES = torch.tensor([[30.0, 16, 44, 16, 0.1], [34, 46, 40, 18, -0.1]])
SIZE = (64, 64)


def narrow(kind):
    """Config of a detector of MMOCR with a backbone of 8 to 64 channels."""
    init_default_scope('mmocr')
    cfg = copy.deepcopy(_read(FILES[kind]).model)
    parts = cfg.cfg if 'cfg' in cfg else cfg
    parts.backbone.update(
        depth=18,
        base_channels=8,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        frozen_stages=-1,
        init_cfg=None,
    )
    parts.backbone.pop('stem_channels', None)
    channels = CHANNELS[1:] if kind == 'FCENet' else CHANNELS
    parts.neck.in_channels = channels
    if kind == 'DBNet':
        parts.neck.out_channels = 4  # of each of four levels
        parts.det_head.in_channels = 16
    elif kind == 'PANet':
        parts.neck.conv_out = 8
        parts.det_head.update(in_channels=[8] * 4, hidden_dim=8)
    elif kind == 'PSENet':
        parts.det_head.hidden_dim = 16
    elif kind == 'FCENet':
        parts.neck.out_channels = parts.det_head.in_channels = 16
    elif kind in ('TextSnake', 'DRRG'):
        parts.neck.out_channels = parts.det_head.in_channels = 16
    elif kind == 'MMDetWrapper':
        parts.neck.out_channels = 16
        parts.rpn_head.update(in_channels=16, feat_channels=16)
        parts.roi_head.bbox_roi_extractor.out_channels = 16
        parts.roi_head.mask_roi_extractor.out_channels = 16
        parts.roi_head.bbox_head.update(in_channels=16, fc_out_channels=32)
        parts.roi_head.mask_head.update(num_convs=1, in_channels=16, conv_out_channels=16)
        parts.train_cfg.rpn_proposal.max_per_img = 50
        parts.train_cfg.rcnn.sampler.num = 64
    return cfg


def _read(file):
    text = f'_base_ = {file!r}'
    return Config.fromstring(text, '.py')


def adaptive(kind, *objectives, **options):
    """The narrow detector with objectives, initialized by a seed."""
    cfg = narrow(kind)
    of = cfg.pop('type')
    return _build(
        dict(cfg, type='mmocr_da.AdaptiveTextDetector', of=of, objectives=objectives, **options)
    )


def plain(kind):
    """The narrow detector itself, with the same weights."""
    return _build(narrow(kind))


def _build(cfg):
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(cfg))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if not name.startswith('objectives.'):
                p.copy_(torch.randn_like(p) * 0.05 if p.dim() > 1 else p)
    for objective in getattr(model, 'objectives', {}).values():
        if hasattr(objective, 'teacher'):
            objective.teacher.copy_from(model)
    return model


def scenes(kind, domains, size=SIZE, img_shape=None):
    """A batch of a dataloader: noise with brighter boxes, labelled in the source."""
    rng = np.random.default_rng(0)
    inputs, samples = [], []
    for domain in domains:
        image = rng.integers(60, 90, (3, *size)).astype(np.uint8)
        for x, y, w, h in ((8, 8, 44, 16), (14, 37, 40, 18)):
            image[:, y : y + h, x : x + w] += 120
        inputs.append(torch.from_numpy(image))
        samples.append(sample(kind, domain, size, img_shape or size))
    return dict(inputs=inputs, data_samples=samples)


def sample(kind, domain, size, img_shape):
    of_mmdet = 'MMDet' in kind
    meta = dict(img_shape=img_shape, ori_shape=img_shape, scale_factor=(1.0, 1.0), img_path='x')
    if domain is not None:
        meta['domain'] = domain
    out = (DetDataSample if of_mmdet else TextDetDataSample)(metainfo=meta)
    out.gt_instances = instances(kind, size) if domain != 'target' else InstanceData()
    return out


def instances(kind, size=SIZE):
    """The labels of a scene."""
    polygons = corners_of(BOXES).flatten(1).numpy().astype(np.float32)
    corners = polygons.reshape(2, 4, 2)
    bboxes = torch.from_numpy(np.concatenate([corners.min(1), corners.max(1)], 1))
    labels = torch.zeros(2, dtype=torch.long)
    if kind == 'RotatedMMDetWrapper':
        return InstanceData(bboxes=RotatedBoxes(BOXES), labels=labels)
    if kind == 'MMDetWrapper':
        masks = np.zeros((2, *size), np.uint8)
        for mask, (x0, y0, x1, y1) in zip(masks, bboxes.int().tolist()):
            mask[y0:y1, x0:x1] = 1
        return InstanceData(bboxes=bboxes, labels=labels, masks=BitmapMasks(masks, *size))
    return InstanceData(
        polygons=[p.copy() for p in polygons],
        bboxes=bboxes,
        labels=labels,
        ignored=torch.zeros(2, dtype=torch.bool),
    )
