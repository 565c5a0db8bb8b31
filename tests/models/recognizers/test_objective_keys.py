import copy

import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.runner import load_checkpoint

GLOBAL = dict(type='mmocr_da.GlobalAlignment', in_channels=16)
LOCAL = dict(type='mmocr_da.LocalAlignment', in_channels=16)
SYMNET = dict(type='mmocr_da.SymNetHead')
ENTROPY = dict(type='mmocr_da.EntropyMinimization')  # without weights


def numbered(model, *names, prefix=''):
    """Weights as they were saved when objectives had a place and no name."""
    weights = model.state_dict()
    for place, name in enumerate(names):
        weights = {
            k.replace(f'objectives.{name}.', f'objectives.{place}.'): v for k, v in weights.items()
        }
    return {f'{prefix}{k}': v for k, v in weights.items()}


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_keys_and_order_of_the_parameters_do_not_depend_on_the_order_in_the_config(adaptive):
    """The discriminators have equal shapes: in another order they would swap and nobody notice."""
    first, second = adaptive(GLOBAL, LOCAL), adaptive(LOCAL, GLOBAL)
    assert [k for k, _ in first.named_parameters()] == [k for k, _ in second.named_parameters()]
    second.load_state_dict(first.state_dict())
    assert same(first, second)
    assert torch.equal(
        second.objectives['local'].discriminator.layers[0].weight,
        first.objectives['local'].discriminator.layers[0].weight,
    )


@pytest.mark.parametrize('how', ['torch', 'mmengine', 'average'])
@pytest.mark.parametrize('order', [(GLOBAL, LOCAL), (LOCAL, GLOBAL), (ENTROPY, LOCAL)])
def test_a_checkpoint_with_numbers_is_taken_in_the_order_of_the_config(
    adaptive, tmp_path, order, how
):
    saved, model = adaptive(*order), adaptive(*order)
    names = saved._listed
    if how == 'torch':
        model.load_state_dict(numbered(saved, *names))
    elif how == 'mmengine':
        torch.save(dict(state_dict=numbered(saved, *names)), tmp_path / 'old.pth')
        load_checkpoint(model, str(tmp_path / 'old.pth'), strict=True)
    else:
        average = ExponentialMovingAverage(model)
        average.load_state_dict(
            {'steps': average.steps, **numbered(saved, *names, prefix='module.')}
        )
        model = average.module
    assert same(saved, model)


def test_the_notice_says_what_was_taken_for_what(adaptive, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmocr_da.models.recognizers.objective_keys.print_log', lambda text, **_: said.append(text)
    )
    model = adaptive(LOCAL, GLOBAL)
    model.load_state_dict(model.state_dict())
    assert said == []
    model.load_state_dict(numbered(model, 'local', 'global'))
    assert len(said) == 1 and '0: local, 1: global' in said[0]


@pytest.mark.parametrize(
    'ours',
    [
        (LOCAL,),
        (LOCAL, SYMNET),
        (GLOBAL, dict(LOCAL, discriminator=dict(hidden_channels=8))),
        (LOCAL, GLOBAL, ENTROPY, SYMNET),
    ],
)
def test_weights_of_another_list_of_objectives_are_not_used(adaptive, monkeypatch, ours):
    said = []
    monkeypatch.setattr(
        'mmocr_da.models.recognizers.objective_keys.print_log', lambda text, **_: said.append(text)
    )
    model = adaptive(*ours)
    before = copy.deepcopy(model.objectives)
    weights = numbered(adaptive(GLOBAL, LOCAL), 'global', 'local')
    model.load_state_dict(weights, strict=False)
    for name in set(before) - {'symnet'}:  # C^t starts as a copy of C^s
        assert same(before[name], model.objectives[name])
    assert len(said) == 1 and 'objectives.0, objectives.1' in said[0] and 'not used' in said[0]
    if 'symnet' not in model.objectives:
        assert model.plain_state_dict(weights).keys() == weights.keys()  # none is needed
    else:
        with pytest.raises(ValueError, match='numbers its objectives'):
            model.plain_state_dict(weights)  # the classifier that predicts may be among them


def test_the_predicting_classifier_of_a_checkpoint_with_numbers_is_exported(adaptive):
    model = adaptive(LOCAL, SYMNET)
    torch.nn.init.normal_(model.objectives['symnet'].classifier.weight)
    plain = model.plain_state_dict(numbered(model, 'local', 'symnet'))
    assert torch.equal(plain['decoder.fc.weight'], model.objectives['symnet'].classifier.weight)


def test_a_run_is_resumed_from_a_checkpoint_with_numbers(toy, trained, run_tool, tmp_path):
    checkpoint = torch.load(trained / 'iter_1.pth', weights_only=False)
    for place, name in enumerate(('global', 'local')):
        checkpoint['state_dict'] = {
            k.replace(f'objectives.{name}.', f'objectives.{place}.'): v
            for k, v in checkpoint['state_dict'].items()
        }
    assert any(k.startswith('objectives.1.') for k in checkpoint['state_dict'])
    torch.save(checkpoint, tmp_path / 'old.pth')
    run_tool('train', toy, '--work-dir', tmp_path, '--resume', tmp_path / 'old.pth')
    ours, theirs = (
        torch.load(folder / 'iter_2.pth', weights_only=False) for folder in (tmp_path, trained)
    )
    for key, value in theirs['state_dict'].items():
        assert torch.equal(ours['state_dict'][key], value), key


@pytest.mark.parametrize('name', ['', 'a.b', 'floss'])
def test_an_objective_without_a_usable_name_is_refused(adaptive, monkeypatch, name):
    monkeypatch.setattr('mmocr_da.models.objectives.LocalAlignment.name', name)
    with pytest.raises(ValueError, match='needs a name without a dot'):
        adaptive(LOCAL)
