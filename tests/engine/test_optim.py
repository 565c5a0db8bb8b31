import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS
from torch import nn

from mmocr_da.engine.hooks import BINGateHook
from mmocr_da.engine.optim import BINGateOptimWrapperConstructor
from mmocr_da.models.layers.batch_instance_norm import BatchInstanceNorm1d, BatchInstanceNorm2d

SGD = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.02)
OURS = 'mmocr_da.BINGateOptimWrapperConstructor'


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), BatchInstanceNorm2d(4), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(4, 4, 3, groups=4),
            nn.BatchNorm2d(4),
            nn.Conv2d(4, 6, 1),
            BatchInstanceNorm2d(6),
        )
        self.head = nn.Sequential(nn.Linear(6, 5), BatchInstanceNorm1d(5, affine=False))
        # Only its name is that of a gate.
        self.rho = nn.Parameter(torch.ones(1))


GATES = ['stem.1.rho', 'body.3.rho', 'head.1.rho']


def build(model, optimizer=SGD, paramwise_cfg=None, constructor=OURS):
    cfg = dict(type='OptimWrapper', optimizer=optimizer, constructor=constructor)
    if paramwise_cfg is not None:
        cfg['paramwise_cfg'] = paramwise_cfg
    return build_optim_wrapper(model, cfg)


def settings(model, wrapper):
    """``{name: (lr, weight decay)}`` of all that the optimizer updates, each parameter once."""
    names = {id(param): name for name, param in model.named_parameters()}
    found = [
        (names[id(param)], (group['lr'], group.get('weight_decay')))
        for group in wrapper.optimizer.param_groups
        for param in group['params']
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.fixture
def log(monkeypatch):
    lines = []
    for module in ('mmocr_da.engine.optim', 'mmengine.optim.optimizer.default_constructor'):
        monkeypatch.setattr(
            f'{module}.print_log', lambda line, *_, level=20, **__: lines.append((level, line))
        )
    return lines


PARAMWISE = [
    None,
    dict(norm_decay_mult=0.0),
    dict(bias_lr_mult=2.0, bias_decay_mult=0.5, dwconv_decay_mult=0.25),
    dict(flat_decay_mult=0.1),
    dict(custom_keys=dict(body=dict(lr_mult=0.1, decay_mult=3.0), stem=dict(decay_mult=0.0))),
    dict(custom_keys={'rho': dict(lr_mult=0.5, momentum=0.3)}, norm_decay_mult=0.0),
]


@pytest.mark.parametrize('paramwise_cfg', PARAMWISE)
@pytest.mark.parametrize('factors', [(10, 0), (1, 1), (0.5, 2)])
def test_gates_have_factors_on_top_and_all_else_is_as_without(paramwise_cfg, factors):
    model = Net()
    usual = settings(
        model,
        build(model, paramwise_cfg=paramwise_cfg, constructor='DefaultOptimWrapperConstructor'),
    )
    if factors != (10, 0):  # the default
        paramwise_cfg = dict(
            paramwise_cfg or {}, gate_lr_mult=factors[0], gate_decay_mult=factors[1]
        )
    expected = {
        name: pytest.approx((lr * factors[0], decay * factors[1]) if name in GATES else (lr, decay))
        for name, (lr, decay) in usual.items()
    }
    assert settings(model, build(model, paramwise_cfg=paramwise_cfg)) == expected


def test_other_settings_of_custom_keys_stay():
    model = Net()
    wrapper = build(model, paramwise_cfg=dict(custom_keys={'stem.1': dict(momentum=0.3)}))
    momentum = {
        id(param): group['momentum']
        for group in wrapper.optimizer.param_groups
        for param in group['params']
    }
    assert [momentum[id(p)] for p in model.stem.parameters()] == [0.9, 0.9, 0.3, 0.3, 0.3]


def test_one_step_moves_a_gate_ten_times_as_far():
    """SGD: rho - 10 * lr * grad = 1 - 10 * 0.01 * 2, and no decay; else p - lr * (grad + p / 2)."""
    model = nn.Sequential(BatchInstanceNorm2d(2))
    wrapper = build(model, dict(type='SGD', lr=0.01, weight_decay=0.5))
    for param in model.parameters():
        param.grad = torch.full_like(param, 2.0)
    wrapper.step()
    torch.testing.assert_close(model[0].rho, torch.full((2,), 0.8))
    torch.testing.assert_close(model[0].weight, torch.full((2,), 1 - 0.01 * (2 + 0.5)))


def test_settings_that_the_config_leaves_to_the_optimizer():
    model = Net()
    found = settings(model, build(model, dict(type='AdamW')))
    assert found['stem.0.weight'] == (1e-3, 1e-2) and found['stem.1.rho'] == (1e-2, 0)
    # An optimizer without a weight decay gets none.
    wrapper = build(model, dict(type='Rprop', lr=0.1))
    assert settings(model, wrapper)['stem.1.rho'] == (1, None)
    wrapper.step()


def test_parameters_of_equal_settings_are_one_group():
    model = Net()
    paramwise_cfg = dict(custom_keys=dict(body=dict(lr_mult=0.1)))
    groups = build(model, paramwise_cfg=paramwise_cfg).optimizer.param_groups
    assert [len(group['params']) for group in groups] == [7, 8, 2, 1]
    assert [group['lr'] for group in groups] == pytest.approx([0.1, 0.01, 1, 0.1])
    assert [len(g['params']) for g in build(model).optimizer.param_groups] == [15, 3]


def test_the_first_group_is_of_the_model_not_of_gates():
    """MMEngine logs the learning rate of the first group."""
    model = nn.Sequential(BatchInstanceNorm2d(3, affine=False), nn.Conv2d(3, 4, 3))
    assert build(model).get_lr()['lr'][0] == 0.1


def test_training_is_that_of_the_usual_constructor_with_equal_factors():
    x = torch.randn(6, 3, 8, 8)
    weights = []
    for constructor in (OURS, 'DefaultOptimWrapperConstructor'):
        torch.manual_seed(0)
        model = Net()
        options = dict(gate_lr_mult=1, gate_decay_mult=1) if constructor == OURS else {}
        wrapper = build(
            model, paramwise_cfg=dict(norm_decay_mult=0.5, **options), constructor=constructor
        )
        for _ in range(4):
            features = model.body(model.stem(x)).mean((2, 3))
            wrapper.update_params(model.head(features).pow(3).sum() * model.rho.sum())
        weights.append(model.state_dict())
    torch.testing.assert_close(*weights, rtol=0, atol=0)
    assert (weights[0]['stem.1.rho'] < 1).any()


def test_a_shared_layer_is_updated_once():
    model = Net()
    model.again = nn.Sequential(model.stem)
    assert settings(model, build(model))['stem.1.rho'] == (1, 0)
    with pytest.raises(ValueError, match='more than one parameter group'):
        build(model, paramwise_cfg=dict(bypass_duplicate=False))


def test_a_frozen_gate_stays_out():
    model = Net()
    model.stem[1].rho.requires_grad_(False)
    found = settings(model, build(model))
    assert 'stem.1.rho' not in found and found['body.3.rho'] == (1, 0)
    assert found.keys() == dict(model.named_parameters()).keys() - {'stem.1.rho'}


def test_a_model_inside_a_distributed_wrapper(tmp_path):
    model = Net()
    torch.distributed.init_process_group('gloo', f'file://{tmp_path}/init', rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(model)
        assert settings(model, build(wrapped)) == settings(model, build(model))
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize('paramwise_cfg', [None, dict(gate_lr_mult=3), dict(bias_lr_mult=2.0)])
def test_without_gates_it_says_so_once_and_does_what_mmengine_does(log, paramwise_cfg):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    ours = build(model, paramwise_cfg=copy.deepcopy(paramwise_cfg))
    warnings = [line for level, line in log if level > 20]
    assert len(warnings) == 1 and 'no BatchInstanceNorm' in warnings[0]
    usual = {k: v for k, v in (paramwise_cfg or {}).items() if 'gate' not in k}
    usual = build(model, paramwise_cfg=usual, constructor='DefaultOptimWrapperConstructor')
    assert ours.state_dict() == usual.state_dict()


def test_the_log_says_how_gates_learn(log):
    build(Net())
    assert [line for _, line in log] == ['gates of 3 layers: lr=1, weight_decay=0']


@pytest.mark.parametrize(
    'base',
    [
        'mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py',
        'mmocr::textdet/dbnet/dbnet_resnet18_fpnc_1200e_icdar2015.py',
        'mmocr_da::assda/small/small_assda.py',
    ],
)
def test_the_ready_setting_fits_any_config(tmp_path, base):
    (tmp_path / 'theirs.py').write_text(
        f"_base_ = ['{base}', 'mmocr_da::_base_/gates.py']\noptim_wrapper = _base_.gates\n"
    )
    (tmp_path / 'usual.py').write_text(f"_base_ = '{base}'\n")
    theirs, usual = (Config.fromfile(tmp_path / f'{name}.py') for name in ('theirs', 'usual'))
    assert theirs.optim_wrapper == {**usual.optim_wrapper, 'constructor': OURS}
    lr = usual.optim_wrapper.optimizer.lr
    model = Net()
    found = settings(model, build_optim_wrapper(model, theirs.optim_wrapper))
    assert {name for name, (value, _) in found.items() if value == pytest.approx(10 * lr)} == set(
        GATES
    )
    assert [type(HOOKS.build(hook)) for hook in theirs.custom_hooks] == [BINGateHook]


@pytest.mark.parametrize('factor', [-1, float('nan'), float('inf'), '10', None, True])
@pytest.mark.parametrize('name', ['gate_lr_mult', 'gate_decay_mult'])
def test_a_bad_factor_is_an_error(name, factor):
    with pytest.raises(ValueError, match=f'{name} must be a number of at least 0, got'):
        build(Net(), paramwise_cfg={name: factor})


def test_the_config_of_the_user_is_not_changed():
    paramwise_cfg = dict(gate_lr_mult=2, norm_decay_mult=0.0)
    before = copy.deepcopy(paramwise_cfg)
    constructor = BINGateOptimWrapperConstructor(dict(optimizer=dict(SGD)), paramwise_cfg)
    constructor(Net())
    assert paramwise_cfg == before
