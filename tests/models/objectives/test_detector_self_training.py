"""Laws of the self-training of detectors, for every family."""

import copy
import types

import numpy as np
import pytest
import torch
from helpers.detectors import BOXES, FILES, adaptive, instances, scenes
from helpers.processes import run_ranks
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from mmocr.structures import TextRecogDataSample
from torch.nn.parallel import DistributedDataParallel

from mmocr_da.models.objectives import DetectionFeatures
from mmocr_da.registry import MODELS

ST = dict(type='mmocr_da.DetectorSelfTraining', threshold=0.5)
FAMILIES = sorted(FILES)
TWO = ['DBNet', 'MMDetWrapper']


@pytest.fixture(autouse=True)
def lanms(monkeypatch):
    """The package that merges the boxes of DRRG; without merging there are only more of them."""
    for module in ('heads.drrg_head', 'module_losses.drrg_module_loss'):
        monkeypatch.setattr(f'mmocr.models.textdet.{module}.la_nms', lambda boxes, _: boxes)


def regions_of(kind, scores=(1.0, 1.0)):
    """What a teacher that knows the labels predicts."""
    known = instances(kind)
    found = InstanceData(scores=torch.tensor(scores))
    if 'MMDet' not in kind:
        found.polygons = known.polygons
        return found
    found.bboxes = BOXES if kind == 'RotatedMMDetWrapper' else known.bboxes
    found.labels = known.labels
    if kind == 'MMDetWrapper':
        found.masks = torch.from_numpy(known.masks.masks.astype(bool))
    return found


def knows(model, kind, *scores):
    """Let the teacher predict the labels of each target image with these scores."""
    objective = model.objectives['self_training']
    objective.predict_regions = lambda target: [
        regions_of(kind, one) for one in scores[: len(target.samples)]
    ]
    return objective


def losses_of(model, kind, domains, labels=None):
    """Losses by name, as MMEngine sums them, and gradients of a batch; one seed for draws."""
    torch.manual_seed(3)
    np.random.seed(3)
    model.zero_grad()
    batch = model.data_preprocessor(scenes(kind, domains), True)
    for sample in batch['data_samples'] if labels else ():
        sample.gt_instances = labels()
    total, log = model.parse_losses(model(**batch, mode='loss'))
    total.backward()
    log = {k: v.item() for k, v in log.items()}
    return log, {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}


# --------------------------------------------------------------------------- the loss


@pytest.mark.parametrize('kind', FAMILIES)
def test_a_perfect_teacher_gives_the_supervised_loss_and_gradient(kind):
    taught = adaptive(kind, dict(ST), supervised_weight=0).train()
    knows(taught, kind, (1.0, 1.0), (1.0, 1.0))
    found, grads = losses_of(taught, kind, ['target'] * 2)
    known, expected = losses_of(adaptive(kind).train(), kind, ['source'] * 2)
    assert found['loss_self_training'] == pytest.approx(known['loss'], rel=1e-6)
    assert grads.keys() == expected.keys()
    for key, grad in grads.items():
        torch.testing.assert_close(grad, expected[key], rtol=1e-5, atol=1e-7)
    assert found['self_training_kept'] == found['self_training_learned_images'] == 1


@pytest.mark.parametrize('kind', TWO)
def test_at_weight_0_it_changes_no_gradient(kind):
    taught = adaptive(kind, dict(ST, weight=0)).train()
    knows(taught, kind, (1.0, 1.0))
    _, grads = losses_of(taught, kind, ['source', 'target'])
    _, expected = losses_of(adaptive(kind).train(), kind, ['source', 'target'])
    assert grads.keys() == expected.keys()
    assert all(torch.equal(grads[k], expected[k]) for k in grads)


@pytest.mark.parametrize('kind', [k for k in FAMILIES if 'MMDet' not in k and k != 'DRRG'])
def test_an_unsure_region_is_ignored_and_not_background(kind):
    """The loss is that of the plain detector with an ignored label."""
    taught = adaptive(kind, dict(ST), supervised_weight=0).train()
    knows(taught, kind, (0.9, 0.4))

    def ignored():
        labels = instances(kind)
        labels.ignored[1] = True
        return labels

    def background():
        return instances(kind)[:1]

    found, _ = losses_of(taught, kind, ['target'])
    known, _ = losses_of(adaptive(kind).train(), kind, ['source'], ignored)
    other, _ = losses_of(adaptive(kind).train(), kind, ['source'], background)
    assert found['loss_self_training'] == pytest.approx(known['loss'], rel=1e-6)
    assert found['loss_self_training'] != pytest.approx(other['loss'], rel=1e-4)
    assert found['self_training_kept'] == 0.5


def test_the_loss_is_a_mean_over_all_images_with_0_for_those_without_a_label():
    """By hand: one of two images is learned, so its loss counts half."""
    alone, two = (adaptive('DBNet', dict(ST), supervised_weight=0).eval() for _ in range(2))
    knows(alone, 'DBNet', (1.0, 1.0))
    knows(two, 'DBNet', (1.0, 1.0), (0.1, 0.2))
    whole, _ = losses_of(alone, 'DBNet', ['target'])
    half, _ = losses_of(two, 'DBNet', ['target'] * 2)
    one = scenes('DBNet', ['target'] * 2)['inputs']
    assert not torch.equal(*one)  # the second image differs, and teaches nothing
    assert half['loss_self_training'] == pytest.approx(whole['loss_self_training'] / 2, rel=1e-5)
    assert half['self_training_learned_images'] == 0.5
    assert half['self_training_kept'] == 0.5
    assert half['self_training_confidence'] == pytest.approx(0.575)
    assert half['self_training_regions'] == 2


@pytest.mark.parametrize('scores', [((0.1, 0.1),), ()])
def test_without_a_label_the_loss_is_a_zero_in_the_graph(scores):
    model = adaptive('DBNet', dict(ST), supervised_weight=0).train()
    knows(model, 'DBNet', *scores)
    found, grads = losses_of(model, 'DBNet', ['target'] if scores else ['source'])
    assert found['loss_self_training'] == 0
    assert grads and not any(g.any() for g in grads.values())
    # Those that have one where there is a label: else DDP would wait for the head's.
    knows(model, 'DBNet', (1.0, 1.0))
    assert grads.keys() == losses_of(model, 'DBNet', ['target'])[1].keys()


def test_losses_can_be_left_out_by_name():
    full, less, wrong = (
        adaptive('MMDetWrapper', dict(ST, skip_losses=skip), supervised_weight=0).train()
        for skip in ((), ('loss_bbox', 'loss_rpn_bbox'), ('loss_box',))
    )
    for model in (full, less, wrong):
        knows(model, 'MMDetWrapper', (1.0, 1.0))
    known, _ = losses_of(adaptive('MMDetWrapper').train(), 'MMDetWrapper', ['source'])
    found, grads = losses_of(less, 'MMDetWrapper', ['target'])
    left_out = known['loss_bbox'] + known['loss_rpn_bbox']
    assert found['loss_self_training'] == pytest.approx(known['loss'] - left_out, rel=1e-5)
    assert not any('fc_reg' in k or 'rpn_reg' in k for k in grads)
    with pytest.raises(ValueError, match=r"losses of the detector, .*'loss_rpn_cls'.*, got \['los"):
        losses_of(wrong, 'MMDetWrapper', ['target'])


# --------------------------------------------------------------------------- the teacher


@pytest.mark.parametrize('kind', [k for k in FAMILIES if k != 'DRRG'])
def test_the_teacher_predicts_what_testing_predicts(kind):
    """In the pixels of the batch, also where testing scales to the image that was loaded."""
    model = adaptive(kind, dict(ST)).eval()
    with torch.no_grad():
        for p in model.objectives.self_training.teacher.parameters():
            p.mul_(1.1)
    batch = model.data_preprocessor(scenes(kind, ['target']), False)
    for sample in batch['data_samples']:
        sample.set_metainfo(dict(scale_factor=(0.5, 0.5), ori_shape=(128, 128)))
    before = copy.deepcopy(batch['data_samples'])
    images = batch['inputs']
    objective = model.objectives.self_training
    (found,) = objective.predict_regions(DetectionFeatures({}, images, batch['data_samples']))
    assert batch['data_samples'][0].metainfo == before[0].metainfo
    unscaled = scenes('DBNet', [None])['data_samples']
    (tested,) = model(images, unscaled, mode='predict')
    scores = torch.as_tensor(tested.pred_instances.scores)
    if kind != 'MMDetWrapper':  # a mask may become several polygons
        assert len(scores) == len(found)
        torch.testing.assert_close(found.scores.cpu(), scores.float())
    if 'polygons' in found:
        for ours, theirs in zip(found.polygons, tested.pred_instances.polygons):
            np.testing.assert_allclose(ours, np.asarray(theirs, np.float32).flatten())


def test_the_teacher_follows_after_each_step_and_is_exported():
    model = adaptive('DBNet', dict(ST, decay=0.75), supervised_weight=0).train()
    knows(model, 'DBNet', (1.0, 1.0))
    start = {k: v.clone() for k, v in model.state_dict().items() if not k.startswith('objectives')}
    losses_of(model, 'DBNet', ['target'])
    with torch.no_grad():
        for p in model.det_head.parameters():
            p.add_(1.0)
    model.after_step()
    state = model.state_dict()
    for key, value in start.items():
        if not value.is_floating_point():
            continue
        teacher = state[f'objectives.self_training.teacher.{key}']
        torch.testing.assert_close(teacher, 0.75 * value + 0.25 * state[key])
    exported = model.plain_state_dict(state)
    key = 'det_head.binarize.0.weight'
    assert torch.equal(exported[key], state[f'objectives.self_training.teacher.{key}'])
    model.after_step()  # nothing was trained since
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


def test_it_starts_as_a_copy_of_a_plain_checkpoint():
    model = adaptive('DBNet', dict(ST))
    weights = {k: v + 1 for k, v in adaptive('DBNet').state_dict().items()}
    model.load_state_dict(weights, strict=True)
    teacher = model.objectives.self_training.teacher
    assert all(torch.equal(v, weights[k]) for k, v in teacher.state_dict().items())


# --------------------------------------------------------------------------- views


def weak_view(sample, image, shape):
    view = TextRecogDataSample(metainfo=dict(img_shape=shape))
    view.set_data(dict(image=image.numpy()))
    sample.set_data(dict(weak_view=view))


@pytest.mark.parametrize('kind', TWO)
def test_the_teacher_sees_the_weak_view(kind):
    model = adaptive(kind, dict(ST)).train()
    objective = model.objectives.self_training
    seen = []
    model.predict_regions = lambda images, samples: seen.append(images) or []
    weak = scenes(kind, ['target'])['inputs'][0] // 2
    data = scenes(kind, ['target'])
    weak_view(data['data_samples'][0], weak, (64, 64))
    batch = model.data_preprocessor(data, True)
    domain = DetectionFeatures({}, batch['inputs'], batch['data_samples'])
    objective.predict_regions(domain)
    plain = scenes(kind, ['target'])
    expected = model.data_preprocessor(dict(plain, inputs=[weak]), False)['inputs']
    assert torch.equal(seen[0], expected) and not torch.equal(seen[0], batch['inputs'])
    weak_view(batch['data_samples'][0], weak[:, :32], (32, 64))
    with pytest.raises(ValueError, match=r'need the same size .*, got \(32, 64\) and \(64, 64\)'):
        objective.predict_regions(domain)


@pytest.mark.parametrize('kind', FAMILIES)
def test_regions_are_carried_to_a_view_that_is_flipped(kind):
    """As labels of the flipped scene, and without a matrix as they are, bit for bit."""
    model = adaptive(kind, dict(ST)).eval()
    objective = model.objectives.self_training
    model.predict_regions = lambda images, samples: [regions_of(kind) for _ in samples]
    data = scenes(kind, ['target'])
    (strong,) = data['data_samples']
    weak_view(strong, data['inputs'][0], (64, 64))
    domain = DetectionFeatures({}, torch.zeros(1, 3, 64, 64), [strong])
    (same,) = objective.predict_regions(domain)
    flip = np.array([[-1.0, 0, 64], [0, 1, 0], [0, 0, 1]])
    strong.weak_view.set_metainfo(dict(to_strong=flip))
    (moved,) = objective.predict_regions(domain)
    known = regions_of(kind)
    if 'polygons' in known:
        for ours, twin, polygon in zip(moved.polygons, same.polygons, known.polygons):
            np.testing.assert_array_equal(twin, polygon)
            np.testing.assert_allclose(ours[::2], 64 - polygon[::2], atol=1e-4)
            np.testing.assert_allclose(ours[1::2], polygon[1::2], atol=1e-4)
        return
    assert torch.equal(same.bboxes, known.bboxes)
    if kind == 'MMDetWrapper':
        torch.testing.assert_close(moved.bboxes[:, [2, 0]], 64 - known.bboxes[:, [0, 2]])
        assert torch.equal(moved.masks, known.masks.flip(-1))
    else:
        torch.testing.assert_close(moved.bboxes[:, 0], 64 - known.bboxes[:, 0])
        torch.testing.assert_close(moved.bboxes[:, 4], -known.bboxes[:, 4], atol=1e-4, rtol=0)


# --------------------------------------------------------------------------- settings


def test_wrong_settings_are_explained():
    with pytest.raises(ValueError, match='RelativeThreshold compares with words of the source'):
        MODELS.build(
            dict(type='mmocr_da.DetectorSelfTraining', keep=dict(type='mmocr_da.RelativeThreshold'))
        )
    with pytest.raises(ValueError, match='DetectorSelfTraining needs threshold or keep, got'):
        MODELS.build(dict(ST, keep=dict(type='mmocr_da.ConfidenceQuantile', start=0.5)))
    assert MODELS.build(dict(type='mmocr_da.DetectorSelfTraining')).keep.threshold == 0.7
    head = types.SimpleNamespace(module_loss=object(), postprocessor=None)
    with pytest.raises(ValueError, match='a head with a postprocessor, got a SimpleNamespace'):
        MODELS.build(ST).attach(types.SimpleNamespace(det_head=head))


def test_nobody_is_left_waiting_for_a_step(monkeypatch):
    monkeypatch.setattr('mmocr_da.models.objectives.teacher_objective.PATIENCE', 1)
    model = adaptive('DBNet', dict(ST), supervised_weight=0).train()
    knows(model, 'DBNet', (0.1, 0.1))
    losses_of(model, 'DBNet', ['target'])
    with pytest.raises(ValueError, match='teacher of DetectorSelfTraining has not followed'):
        losses_of(model, 'DBNet', ['target'])


def test_the_weight_rises_with_the_iterations():
    objective = MODELS.build(dict(ST, weight=2.0, ramp=10))
    hub = MessageHub.get_current_instance()
    hub.update_info('max_iters', 100)
    try:
        for iteration, weight in ((0, 0.0), (5, 1.0), (10, 2.0), (50, 2.0)):
            hub.update_info('iter', iteration)
            assert objective._weight() == weight
    finally:
        for key in ('iter', 'max_iters'):
            hub.runtime_info.pop(key)


# --------------------------------------------------------------------------- processes


def gradients_of(kind, numbers, scores, wrap=False):
    """Gradients of a batch of numbered target images, whose regions have these scores."""
    MessageHub.get_current_instance().update_info('iter', 0)
    model = adaptive(kind, dict(ST), supervised_weight=0).train()
    knows(model, kind, *[scores[i] for i in numbers])
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    data = scenes(kind, ['target'] * len(scores))
    batch = {key: [value[i] for i in numbers] for key, value in data.items()}
    batch = model.data_preprocessor(batch, True)
    forward = DistributedDataParallel(model) if wrap else model
    model.parse_losses(forward(**batch, mode='loss'))[0].backward()
    return {k: p.grad for k, p in model.named_parameters() if p.grad is not None}


def gradients_of_rank(rank, kind, splits, scores):
    return [gradients_of(kind, split[rank], scores, wrap=True) for split in splits]


def test_two_ranks_equal_one():
    """With one image to learn, wherever it is: also where it is alone, and where none else is.

    DDP gets no ``find_unused_parameters``, also where a rank has no label.
    """
    scores = [(1.0, 1.0), (0.1, 0.1), (0.1, 0.1)]
    splits = ([[0], [1, 2]], [[0, 1], [2]], [[1, 2], [0]])
    one = gradients_of('DBNet', [0, 1, 2], scores)
    assert any(grad.abs().max() > 1e-4 for grad in one.values())
    for found in run_ranks(gradients_of_rank, 'DBNet', splits, scores)[0]:
        assert found.keys() == one.keys()
        for key, grad in one.items():
            torch.testing.assert_close(found[key], grad, rtol=1e-4, atol=1e-7, msg=key)
