import pytest
import torch
from mmengine.structures import LabelData

from mmocr_da.engine.health.gradients import gradient_ratios
from mmocr_da.engine.health.held_out import HeldOut
from mmocr_da.engine.health.measuring import unchanged

GLOBAL = dict(type='mmocr_da.GlobalAlignment', in_channels=16, schedule='constant', weight=0.5)
LOCAL = dict(type='mmocr_da.LocalAlignment', in_channels=16, schedule='constant', threshold=0)


@pytest.fixture
def images(sample):
    """Noise: 3 images of each domain."""
    items = [
        dict(
            inputs=torch.randint(0, 256, (1, 16, 32), dtype=torch.uint8),
            data_samples=sample(text if domain == 'source' else '', domain),
        )
        for domain in ('source', 'target')
        for text in ('12', '345', '6')
    ]
    return HeldOut(items[:3], items[3:], 'noise')


def of(model, images):
    with unchanged(model, 0):
        return gradient_ratios(model, images)


def by_hand(model, images, name):
    """With ``backward``, in evaluation mode as a loop over weights."""
    data = model.data_preprocessor(images.first(9), False)
    norms = []
    for key in (name, None):
        model.zero_grad()
        losses, features = model.observe(data['inputs'], data['data_samples'])
        losses = losses if key is None else model.objectives[key](*features)
        sum(v for k, v in losses.items() if 'loss' in k).backward()
        norms.append({k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None})
    shared = [k for k in norms[0].keys() & norms[1].keys() if not k.startswith('objectives.')]
    found = [sum(float((x[k] ** 2).sum()) for k in shared) ** 0.5 for x in norms]
    return found[0] / found[1]


def test_the_ratio_is_that_of_two_backward_passes(adaptive, images):
    model = adaptive(GLOBAL, LOCAL)
    found = of(model, images)
    assert found.keys() == {'global', 'local'}
    model.eval()
    for name, ratio in found.items():
        assert ratio == pytest.approx(by_hand(model, images, name), rel=1e-4) and ratio > 0


def test_it_grows_with_lambda_and_ends_with_it(adaptive, images):
    model, found = adaptive(GLOBAL), []
    for weight in (0.5, 1.0, 0.0):
        model.objectives['global'].reversal.high = weight
        found.append(of(model, images)['global'])
    assert found[1] == pytest.approx(2 * found[0], rel=1e-4) and found[2] == 0


@pytest.mark.parametrize('decoder', ['attention', 'ctc'])
def test_weights_statistics_and_gradients_of_a_training_stay(adaptive, images, crnn, decoder):
    options = dict(decoder=crnn, encoder=None) if decoder == 'ctc' else {}
    model = adaptive(GLOBAL, **options)
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    modes, state = [m.training for m in model.modules()], torch.get_rng_state()
    assert of(model, images)['global'] > 0
    assert modes == [m.training for m in model.modules()]
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())
    assert all((p.grad == 1).all() for p in model.parameters())


def test_the_loss_of_ctc_is_that_of_training(adaptive, images, crnn):
    """In testing, its decoder returns probabilities in place of logits."""
    model = adaptive(GLOBAL, decoder=crnn, encoder=None)
    found = of(model, images)['global']
    model.eval()
    model.decoder.train()
    assert found == pytest.approx(by_hand(model, images, 'global'), rel=1e-4)


def test_without_both_domains_or_a_shared_weight_there_is_no_ratio(adaptive, images):
    model = adaptive(GLOBAL)
    assert of(model, HeldOut(images.source, [], '')) == {}
    assert of(model, HeldOut([], images.target, '')) == {}
    assert of(adaptive(dict(type='mmocr_da.SelfTraining')), images) == {}
    model.backbone.requires_grad_(False)
    assert of(model, images) == {}


def test_labels_of_the_target_are_an_error_not_an_input(adaptive, images):
    images.target[0]['data_samples'].gt_text = LabelData(item='7')
    with pytest.raises(ValueError, match='labels of the target'):
        of(adaptive(GLOBAL), images)
