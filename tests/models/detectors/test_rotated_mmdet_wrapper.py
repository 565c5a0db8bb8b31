"""The small RRPN of the configs, from its pipeline to MMOCR's metric and inferencer."""

import copy
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.detectors import narrow, scenes
from helpers.emulated_cuda import emulated_cuda, on_cuda
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from mmocr.apis import TextDetInferencer
from mmocr.evaluation.metrics import HmeanIOUMetric
from mmocr.structures import TextDetDataSample

from mmocr_da.export import make_plain
from mmocr_da.models.detectors import RotatedMMDetWrapper, SurrogateMMDetWrapper
from mmocr_da.registry import MODELS
from mmocr_da.structures import RotatedBoxes, corners_of

CONFIGS = Path(__file__).parents[3] / 'configs/learned_surrogate/small'
BOXES = torch.tensor([[45.0, 40, 60, 18, 0.3], [85, 90, 50, 16, -0.6]])


@pytest.fixture(scope='module')
def cfg():
    return Config.fromfile(CONFIGS / 'small_rrpn_scenes.py')


@pytest.fixture
def make(cfg):

    def build(loss_bbox=None):
        model = copy.deepcopy(cfg.model)
        if loss_bbox is not None:
            head = model.cfg.roi_head.bbox_head
            head.reg_decoded_bbox, head['loss_bbox'] = True, loss_bbox
        model = MODELS.build(model)
        model.init_weights()
        return model

    return build


def image():
    """Two striped boxes on noise, ``(128, 128, 3)``."""
    out = np.random.default_rng(0).integers(100, 130, (128, 128, 3)).astype(np.uint8)
    stripes = np.indices((128, 128)).sum(0) // 4 % 2 * 255
    for polygon in corners_of(BOXES).numpy():
        mask = cv2.fillPoly(np.zeros((128, 128), np.uint8), [np.rint(polygon).astype(int)], 1)
        out[mask > 0] = stripes[mask > 0, None]
    return out


def batch(*boxes):
    """Images of 128 x 128 with these boxes, as the pipeline packs them."""
    samples = []
    for b in boxes:
        sample = DetDataSample(
            metainfo=dict(img_shape=(128, 128), ori_shape=(128, 128), scale_factor=(1.0, 1.0))
        )
        sample.gt_instances = InstanceData(
            bboxes=RotatedBoxes(b), labels=torch.zeros(len(b), dtype=torch.long)
        )
        sample.ignored_instances = InstanceData(
            bboxes=RotatedBoxes(torch.zeros(0, 5)), labels=torch.zeros(0, dtype=torch.long)
        )
        samples.append(sample)
    pixels = torch.from_numpy(image()).permute(2, 0, 1)
    return dict(inputs=[pixels] * len(boxes), data_samples=samples)


def losses(model, data):
    data = model.data_preprocessor(copy.deepcopy(data), True)
    return model.parse_losses(model(**data, mode='loss'))


def test_images_with_and_without_text_give_finite_losses_and_gradients(make):
    for boxes in ([BOXES, BOXES[:0]], [BOXES[:0], BOXES[:0]]):
        model = make().train()
        loss, log = losses(model, batch(*boxes))
        loss.backward()
        assert {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox'} <= set(log)
        assert loss.isfinite()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_ignored_text_is_neither_text_nor_background(make):
    """Anchors on it are left out, so a head is not trained to call it background."""
    model = make().train()
    data = batch(BOXES[:1])
    ignoring = copy.deepcopy(data)
    ignoring['data_samples'][0].ignored_instances = InstanceData(
        bboxes=RotatedBoxes(torch.tensor([[64.0, 64, 128, 128, 0]])),
        labels=torch.zeros(1, dtype=torch.long),
    )
    assigned = []
    assigner = model.wrapped_model.rpn_head.assigner
    assign = assigner.assign

    def recorded(*args, **kwargs):
        assigned.append(assign(*args, **kwargs))
        return assigned[-1]

    assigner.assign = recorded
    losses(model, data), losses(model, ignoring)
    background = [(a.gt_inds == 0).sum().item() for a in assigned]
    assert background[1] < background[0] / 4


def test_predictions_are_polygons_in_the_original_image(make):
    model = make().eval()
    found = DetDataSample()
    found.pred_instances = InstanceData(
        bboxes=BOXES.clone(),
        scores=torch.tensor([0.9, 0.4]),
        labels=torch.zeros(2, dtype=torch.long),
    )
    (sample,) = model.adapt_predictions([found], [TextDetDataSample()])
    np.testing.assert_allclose(sample.pred_instances.polygons, corners_of(BOXES).flatten(1))
    assert sample.pred_instances.scores.tolist() == pytest.approx([0.9, 0.4])
    nothing = DetDataSample()
    nothing.pred_instances = InstanceData(bboxes=torch.zeros(0, 5), scores=torch.zeros(0))
    (sample,) = model.adapt_predictions([nothing], [TextDetDataSample()])
    assert len(sample.pred_instances.polygons) == len(sample.pred_instances.scores) == 0


def test_boxes_of_four_numbers_are_left_to_the_host(make):
    found = DetDataSample()
    found.pred_instances = InstanceData(
        bboxes=torch.tensor([[1.0, 2, 5, 9]]), scores=torch.tensor([0.5])
    )
    (sample,) = make().adapt_predictions([found], [TextDetDataSample()])
    assert sample.pred_instances.polygons[0].tolist() == [1, 2, 5, 2, 5, 9, 1, 9]


def test_boxes_must_keep_their_type_in_the_preprocessor(cfg):
    model = copy.deepcopy(cfg.model)
    model.cfg.data_preprocessor.boxtype2tensor = True
    with pytest.raises(ValueError, match='boxtype2tensor=False, got True'):
        MODELS.build(model)


def test_a_step_of_the_surrogate_leaves_every_bit_of_the_detector(make, progress):
    model = make(dict(type='mmocr_da.LSIoULoss', surrogate=dict(approximation='local'))).train()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)

    def changed(iteration, data):
        progress(iteration, 100)
        before = {k: v.clone() for k, v in model.state_dict().items()}
        optimizer.zero_grad()
        losses(model, data)[0].backward()
        optimizer.step()
        return {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}

    surrogate = {k for k in model.state_dict() if 'surrogate' in k}
    first = changed(0, batch(BOXES))
    assert first and first <= surrogate
    second = changed(1, batch(BOXES))
    assert not second & surrogate
    assert {
        'wrapped_model.backbone.bn1.running_mean',
        'wrapped_model.rpn_head.rpn_reg.weight',
        'wrapped_model.roi_head.bbox_head.fc_reg.weight',
    } <= second
    # Nothing to learn from; momentum must not move the detector either.
    assert changed(2, batch(BOXES[:0])) <= surrogate


def test_samplers_draw_by_seed_and_iteration(make, progress):
    """Not by what was drawn before, which a resumed run does not know."""
    model, drawn = make().train(), []
    head = model.wrapped_model.rpn_head
    sample = head.sampler.sample

    def recorded(*args, **kwargs):
        drawn.append(sample(*args, **kwargs))
        return drawn[-1]

    head.sampler.sample = recorded
    for seed, iteration in ((1, 5), (1, 5), (1, 6), (2, 5)):
        torch.manual_seed(seed)
        torch.rand(len(drawn) + 3)
        progress(iteration, 9)
        before = torch.get_rng_state()
        losses(model, batch(BOXES))
        assert torch.equal(torch.get_rng_state(), before) and torch.initial_seed() == seed
    first, same, later, other = (d.neg_inds.tolist() for d in drawn)
    assert first == same and later != first != other


def test_nothing_is_held_in_testing(make, progress):
    progress(0, 100)
    model = make(dict(type='mmocr_da.LSIoULoss', surrogate=dict(approximation='local'))).eval()
    loss, _ = losses(model, batch(BOXES))
    loss.backward()
    assert model.wrapped_model.backbone.conv1.weight.grad is not None


@pytest.fixture(scope='module')
def trained(cfg):
    """A detector that has seen one image 80 times."""
    torch.manual_seed(0)
    # Left by another test, it would have the samplers draw the same boxes each time.
    MessageHub.get_current_instance().runtime_info.pop('iter', None)
    model = MODELS.build(copy.deepcopy(cfg.model))
    model.init_weights()
    model.train()
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 0.3  # statistics of a few steps
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    # Where it ends must not depend on the rounding of one machine.
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 80)
    for _ in range(80):
        optimizer.zero_grad()
        losses(model, batch(BOXES, BOXES))[0].backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def test_it_finds_what_it_was_shown_and_mmocr_scores_it(trained):
    sample = TextDetDataSample(
        metainfo=dict(img_shape=(128, 128), ori_shape=(64, 64), scale_factor=(2.0, 2.0))
    )
    sample.gt_instances = InstanceData(
        polygons=list(corners_of(BOXES).flatten(1).numpy() / 2), ignored=np.zeros(2, bool)
    )
    data = dict(inputs=[torch.from_numpy(image()).permute(2, 0, 1)], data_samples=[sample])
    data = trained.data_preprocessor(data, False)
    with torch.no_grad():
        found = trained(**data, mode='predict')
    metric = HmeanIOUMetric()
    metric.process(None, [s.to_dict() for s in found])
    assert metric.evaluate(1)['icdar/hmean'] > 0.6
    assert found[0].pred_instances.scores.max() > 0.7


def test_mmocrs_inferencer_takes_it(trained, cfg, tmp_path):
    weights, config = tmp_path / 'weights.pth', tmp_path / 'config.py'
    torch.save(dict(state_dict=trained.state_dict()), weights)
    cfg.dump(str(config))
    inferencer = TextDetInferencer(str(config), str(weights), device='cpu')
    cv2.imwrite(str(tmp_path / 'image.png'), image()[..., ::-1])
    out = inferencer(
        str(tmp_path / 'image.png'),
        out_dir=str(tmp_path / 'out'),
        save_vis=True,
        pred_score_thr=0.5,
        progress_bar=False,
    )
    polygons = np.array(out['predictions'][0]['polygons']).reshape(-1, 4, 2)
    assert list((tmp_path / 'out').rglob('*.jpg')) or list((tmp_path / 'out').rglob('*.png'))
    centres = polygons.mean(1)
    for centre in BOXES[:, :2].numpy():
        assert np.linalg.norm(centres - centre, axis=1).min() < 8


def test_the_wrapper_is_what_the_config_builds(make):
    assert type(make()) is RotatedMMDetWrapper


LSIOU = dict(type='mmocr_da.LSIoULoss', surrogate=dict(approximation='local'))


@pytest.mark.parametrize(
    'loss_bbox, waits',
    [
        (None, {'rotated_nms.py': 2}),  # of each image, MMDetection has its own
        (LSIOU, {'rotated_nms.py': 2, 'rotated_box_loss.py': 1, 'ls_iou.py': 1}),
    ],
)
def test_on_cuda_the_losses_are_the_same_and_few_lines_wait(loss_bbox, waits, make, progress):
    progress(1, 10)
    model = make(loss_bbox).train()
    for module in model.modules():
        if hasattr(module, '_to_check'):
            module._to_check = 0  # looks at the first labels of a training
    data = batch(BOXES, BOXES[:1])
    torch.manual_seed(0)
    _, wanted = losses(copy.deepcopy(model), data)
    with emulated_cuda() as record:
        torch.manual_seed(0)
        total, found = losses(on_cuda(model), data)
        total.backward()
        assert by_file(record.waits('mmocr_da')) == waits
        for name, value in wanted.items():
            torch.testing.assert_close(found[name].cpu(), value, rtol=1e-4, atol=1e-5, msg=name)


def test_on_cuda_predictions_are_the_same_and_few_lines_wait(make):
    model = make().eval()
    data = batch(BOXES, BOXES)
    for i, sample in enumerate(data['data_samples']):
        data['data_samples'][i] = TextDetDataSample(metainfo=sample.metainfo)
    with torch.no_grad():
        wanted = model(**model.data_preprocessor(copy.deepcopy(data), False), mode='predict')
    with emulated_cuda() as record, torch.no_grad():
        on_cuda(model)
        found = model(**model.data_preprocessor(copy.deepcopy(data), False), mode='predict')
        assert by_file(record.waits('mmocr_da')) == {
            'rotated_nms.py': 4,
            'rotated_mmdet_wrapper.py': 1,
        }
    for a, b in zip(found, wanted):
        assert len(a.pred_instances) == len(b.pred_instances) > 0
        np.testing.assert_allclose(a.pred_instances.scores, b.pred_instances.scores, atol=1e-5)
        np.testing.assert_allclose(a.pred_instances.polygons, b.pred_instances.polygons, atol=1e-2)


def by_file(waits):
    """``{file: number of waits}``."""
    out = Counter()
    for line, count in waits.items():
        out[line.split(':')[0].split('/')[-1]] += count
    return dict(out)


@pytest.fixture
def mask_rcnn():
    """MMOCR's own, with narrow layers."""
    cfg = narrow('MMDetWrapper')
    cfg.type = 'mmocr_da.SurrogateMMDetWrapper'
    return cfg


def test_a_surrogate_of_a_mask_rcnn_freezes_it_in_its_iterations(mask_rcnn, progress):
    head = mask_rcnn.cfg.roi_head.bbox_head
    head.reg_decoded_bbox = True
    loss = dict(type='mmocr_da.LSIoULoss', surrogate=dict(approximation='local'))
    head.loss_bbox = ConfigDict(loss)
    model = MODELS.build(mask_rcnn).train()
    data = scenes('MMDetWrapper', [None, None])
    for iteration, learning in ((0, 'surrogate'), (1, 'detector')):
        progress(iteration, 100)
        model.zero_grad()
        buffers = {k: v.clone() for k, v in model.named_buffers()}
        loss, _ = losses(model, data)
        loss.backward()
        moved = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        assert moved and all(('surrogate' in n) == (learning == 'surrogate') for n in moved)
        still = all(torch.equal(v, buffers[k]) for k, v in model.named_buffers())
        assert still == (learning == 'surrogate')


def test_a_mask_rcnn_predicts_its_masks_or_its_boxes(mask_rcnn):
    mask = np.zeros((1, 40, 40), bool)
    mask[0, 5:20, 10:30] = True
    found = DetDataSample()
    found.pred_instances = InstanceData(
        bboxes=torch.tensor([[8.0, 4, 31, 22]]),
        scores=torch.tensor([0.5]),
        masks=torch.from_numpy(mask),
    )
    for kind, corners in (('box', [8, 4, 31, 22]), ('poly', [10, 5, 29, 19])):
        model = MODELS.build(dict(copy.deepcopy(mask_rcnn), text_repr_type=kind))
        (sample,) = model.adapt_predictions([copy.deepcopy(found)], [TextDetDataSample()])
        (points,) = (np.reshape(p, (-1, 2)) for p in sample.pred_instances.polygons)
        assert [*points.min(0), *points.max(0)] == corners
    with pytest.raises(ValueError, match="text_repr_type must be .*, got 'circle'"):
        MODELS.build(dict(copy.deepcopy(mask_rcnn), text_repr_type='circle'))


def test_a_mask_rcnn_is_exported_as_the_one_of_mmocr(mask_rcnn):
    plain = SurrogateMMDetWrapper.plain_cfg(dict(mask_rcnn, text_repr_type='quad'))
    assert plain == dict(mask_rcnn, type='MMDetWrapper', text_repr_type='quad')
    with pytest.raises(ValueError, match="set text_repr_type='poly' in the model to export it"):
        SurrogateMMDetWrapper.plain_cfg(dict(mask_rcnn, text_repr_type='box'))


def test_a_tuned_mask_rcnn_is_exported_without_what_tuned_it(monkeypatch):
    monkeypatch.setenv('MMOCR_DA_GRADIENT', '1')
    cfg = Config.fromfile(CONFIGS / 'small_mask-rcnn-giou_scenes.py')
    cfg.model.text_repr_type = 'poly'
    weights = MODELS.build(copy.deepcopy(cfg.model)).state_dict()
    assert 'wrapped_model.roi_head.bbox_head.balance.norms' in weights
    plain, plain_weights = make_plain(cfg, weights)
    assert 'mmocr_da' not in str(plain.model) and plain.model.type == 'MMDetWrapper'
    MODELS.build(plain.model).load_state_dict(plain_weights, strict=True)
    assert len(plain_weights) == len(weights) - 1
