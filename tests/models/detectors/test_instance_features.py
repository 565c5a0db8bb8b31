import copy

import pytest
import torch
from helpers.detectors import adaptive, scenes
from mmdet.structures.bbox import bbox2roi

from mmocr_da.models.detectors.instance_features import instance_features

KINDS = ['MMDetWrapper', 'RotatedMMDetWrapper']


@pytest.fixture(params=KINDS)
def given(request):
    """A detector, its feature maps, and two images of which one has labels."""
    kind = request.param
    model = adaptive(kind).train()
    batch = model.data_preprocessor(scenes(kind, ['source', 'target']), True)
    detector = model.detector
    return detector, detector.extract_feat(batch['inputs']), batch['data_samples']


def test_they_are_what_the_head_classifies_of_the_best_proposals(given):
    """A slow oracle: proposals as in testing with the settings of training, image by image."""
    detector, features, samples = given
    found, image = instance_features(detector, features, samples, 5)
    detector.rpn_head.test_cfg = detector.train_cfg.rpn_proposal
    proposals = detector.rpn_head.predict(features, samples, rescale=False)
    head = detector.roi_head.bbox_head
    scores = []
    for i, of_image in enumerate(proposals):
        kept = sorted(range(len(of_image)), key=lambda j: -of_image.scores[j])[:5]
        x = [level[i : i + 1] for level in features]
        scores.append(detector.roi_head._bbox_forward(x, bbox2roi([of_image.bboxes[kept]])))
        assert (image == i).sum() == len(kept) > 0
    expected = torch.cat([score['cls_score'] for score in scores])
    torch.testing.assert_close(head.fc_cls(found), expected, rtol=1e-4, atol=1e-5)


def test_they_know_no_label_draw_nothing_and_change_nothing(given):
    detector, features, samples = given
    before = copy.deepcopy(detector.state_dict())
    state = torch.get_rng_state()
    first, _ = instance_features(detector, features, samples, 5)
    for sample in samples:
        del sample.gt_instances
    second, _ = instance_features(detector, features, samples, 5)
    assert torch.equal(first, second) and torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(v, before[k]) for k, v in detector.state_dict().items())


def test_no_gradient_reaches_the_proposals(given):
    detector, features, samples = given
    found, _ = instance_features(detector, features, samples, 5)
    found.square().sum().backward()
    learning = {k for k, p in detector.named_parameters() if p.grad is not None and p.grad.any()}
    assert not any(k.startswith('rpn_head') for k in learning)
    assert {k.split('.')[0] for k in learning} == {'backbone', 'neck', 'roi_head'}


def test_without_images_or_proposals_there_are_none(given):
    detector, features, samples = given
    nothing = [x[:0] for x in features]
    for maps, some, count in ((nothing, [], 5), (features, samples, 0)):
        found, image = instance_features(detector, maps, some, count)
        assert found.shape == (0, detector.roi_head.bbox_head.fc_cls.in_features)
        assert image.shape == (0,) and found.requires_grad
