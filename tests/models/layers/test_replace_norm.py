import copy

import pytest
import torch
import torch.distributed as dist
from mmcv.ops import SyncBatchNorm as MMSyncBatchNorm
from mmengine.config import Config, ConfigDict
from mmengine.model.utils import _BatchNormXd, revert_sync_batchnorm
from mmocr.apis import TextRecInferencer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmocr_da.models.layers import domains_of_images
from mmocr_da.models.layers.batch_instance_norm import BatchInstanceNorm, BatchInstanceNorm2d
from mmocr_da.models.layers.domain_norm import DomainBatchNorm2d, DomainNorm
from mmocr_da.models.layers.replace_norm import (
    convert_batch_norm,
    keep_statistics_per_domain,
    with_bin,
)
from mmocr_da.registry import MODELS

NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def trained(layer, rank=2):
    """A layer whose weights and statistics are those of no fresh one."""
    for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
        if tensor is not None:
            nn.init.uniform_(tensor, 0.5, 2)
    return layer.train()


def images(rank=2, channels=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(4, channels, *(5, 4, 3)[:rank], generator=generator) + 1


def network():
    return nn.Sequential(
        nn.Conv2d(6, 6, 3, padding=1),
        trained(nn.BatchNorm2d(6)),
        nn.ReLU(),
        nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), trained(nn.BatchNorm2d(6)), nn.ReLU()),
    )


def gates(module):
    return {name for name, m in module.named_modules() if isinstance(m, BatchInstanceNorm)}


def batch_norms(module):
    """Names of the batch norms, without those that are the ``mode`` of a layer of ours."""
    modes = {m.mode for m in module.modules() if isinstance(m, DomainNorm)}
    return {
        name for name, m in module.named_modules() if isinstance(m, _BatchNorm) and m not in modes
    }


@pytest.fixture
def one_process(tmp_path):
    dist.init_process_group('gloo', f'file://{tmp_path}/store', rank=0, world_size=1)
    yield
    dist.destroy_process_group()


# What conversion promises: nothing changes but the class, and a gate of ones appears.


@pytest.mark.parametrize('affine', [True, False])
@pytest.mark.parametrize('track', [True, False])
@pytest.mark.parametrize('rank', NORMS)
def test_the_function_stays(rank, track, affine):
    norm = trained(NORMS[rank](6, eps=1e-3, momentum=0.3, affine=affine, track_running_stats=track))
    converted = convert_batch_norm(copy.deepcopy(norm))
    for step in range(2):
        x = images(rank, seed=step)
        torch.testing.assert_close(converted(x), norm(x))
        if track:
            torch.testing.assert_close(converted.running_var, norm.running_var)
            assert converted.num_batches_tracked == norm.num_batches_tracked
    if track:  # without statistics, evaluation is training
        converted.running_mean.copy_(norm.running_mean)
        converted.running_var.copy_(norm.running_var)
        assert torch.equal(converted.eval()(x), norm.eval()(x))


def test_gradients_stay():
    model = network().double()
    converted = convert_batch_norm(copy.deepcopy(model))
    for m in (model, converted):
        m(images().double()).square().sum().backward()
    got = {name: p.grad for name, p in converted.named_parameters() if not name.endswith('rho')}
    for name, p in model.named_parameters():
        torch.testing.assert_close(got.pop(name), p.grad)
    assert not got


def test_whoever_held_a_layer_holds_the_converted_one():
    model = network()
    layer, tensors = model[1], {**dict(model.named_parameters()), **dict(model.named_buffers())}
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    assert convert_batch_norm(model) is model
    assert model[1] is layer and isinstance(layer, BatchInstanceNorm)
    after = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    assert all(after[name] is tensor for name, tensor in tensors.items())
    assert sorted(after.keys() - tensors.keys()) == ['1.rho', '3.1.rho']
    before = layer.weight.clone()
    model(images()).square().sum().backward()
    optimizer.step()
    assert not torch.equal(layer.weight, before)


def test_a_single_layer_is_a_module_too():
    layer = nn.BatchNorm1d(6)
    assert convert_batch_norm(layer) is layer
    assert isinstance(layer, BatchInstanceNorm) and layer.rank == 1


def test_settings_stay():
    norm = nn.BatchNorm2d(6, eps=0.1, momentum=None, dtype=torch.float64).eval()
    norm.requires_grad_(False).remark = 'theirs'
    norm = convert_batch_norm(norm)
    assert (norm.eps, norm.momentum, norm.remark) == (0.1, None, 'theirs')
    assert norm.rho.dtype == torch.float64 and not norm.rho.requires_grad
    assert not norm.training and not norm.mode.training
    x = images().double()
    assert torch.equal(norm(x), nn.BatchNorm2d(6, eps=0.1, dtype=torch.float64).eval()(x))


def test_a_gate_lies_where_the_layer_does():
    for norm in (nn.BatchNorm2d(6, device='meta'), nn.BatchNorm2d(6, affine=False, device='meta')):
        assert convert_batch_norm(nn.Sequential(nn.Linear(2, 2), norm))[1].rho.is_meta
    # A layer without any tensor: where the rest of the module is.
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, device='meta', dtype=torch.float16),
        nn.BatchNorm2d(6, affine=False, track_running_stats=False),
    )
    rho = convert_batch_norm(model)[1].rho
    assert rho.is_meta and rho.dtype == torch.float16 and rho.requires_grad


def test_a_frozen_layer_in_a_model_that_trains_stays_frozen():
    """As MMDetection's ``norm_eval`` leaves it: in evaluation, among layers in training."""
    model = network()
    model[1].eval()
    model = convert_batch_norm(model)
    before = model[1].running_mean.clone(), model[3][1].running_mean.clone()
    model(images())
    assert torch.equal(model[1].running_mean, before[0])
    assert not torch.equal(model[3][1].running_mean, before[1])


def test_hooks_stay_and_can_still_be_removed():
    model, seen = network(), []
    handles = [
        model[1].register_forward_pre_hook(lambda *_: seen.append('before')),
        model[1].register_forward_hook(lambda *_, **__: seen.append('after'), with_kwargs=True),
        model[1].register_full_backward_hook(lambda *_: seen.append('back')),
    ]
    convert_batch_norm(model)(images()).sum().backward()
    assert seen == ['before', 'after', 'back']
    for handle in handles:
        handle.remove()
    model(images()).sum().backward()
    assert len(seen) == 3


def test_a_layer_at_two_places_stays_one():
    model = nn.ModuleDict(dict(a=nn.BatchNorm2d(6), b=nn.ReLU()))
    model['c'] = model['a']
    convert_batch_norm(model, include='c')
    assert model['c'] is model['a'] and isinstance(model['a'], BatchInstanceNorm)


def test_weights_of_a_batch_norm_load_before_and_after():
    model = network()
    weights = copy.deepcopy(model.state_dict())
    converted = convert_batch_norm(copy.deepcopy(model))
    assert converted.state_dict().keys() - weights.keys() == {'1.rho', '3.1.rho'}
    assert weights.keys() <= converted.state_dict().keys()
    other = convert_batch_norm(network())
    other.load_state_dict(weights, strict=True)
    assert torch.equal(other.eval()(images()), converted.eval()(images()))
    # and with the gates, back into a converted copy
    converted[1].rho.data.uniform_()
    other.load_state_dict(converted.state_dict(), strict=True)
    assert torch.equal(other(images()), converted(images()))


def test_converting_twice_changes_nothing():
    model = convert_batch_norm(network())
    model[1].rho.data.fill_(0.25)
    before = {name: (m, type(m)) for name, m in model.named_modules()}
    convert_batch_norm(model)
    assert {name: (m, type(m)) for name, m in model.named_modules()} == before
    assert (model[1].rho == 0.25).all()


# Which layers


@pytest.mark.parametrize(
    'include, exclude, converted',
    [
        (None, None, {'1', '3.1'}),
        ('3.*', None, {'3.1'}),
        (['1', '3.*'], None, {'1', '3.1'}),
        (None, '3.?', {'1'}),
        ('*', ['1'], {'3.1'}),
    ],
)
def test_globs_choose_the_layers(include, exclude, converted):
    model = convert_batch_norm(network(), include, exclude)
    assert gates(model) == converted
    assert batch_norms(model) == {'1', '3.1'} - converted


@pytest.mark.parametrize(
    'globs', [dict(include='backbone.*'), dict(exclude=['1', '0']), dict(include='')]
)
def test_a_glob_that_fits_no_norm_layer_is_an_error(globs):
    with pytest.raises(ValueError, match=r"matches none of '1', '3\.1'"):
        convert_batch_norm(network(), **globs)


def test_nothing_to_convert_is_an_error():
    with pytest.raises(ValueError, match='must have batch norms to be converted, got Linear'):
        convert_batch_norm(nn.Linear(2, 2))
    with pytest.raises(ValueError, match='must leave a layer to convert'):
        convert_batch_norm(network(), include='1', exclude='*')


def test_a_layer_that_does_not_know_its_channels_is_an_error_before_anything_changes():
    model = nn.Sequential(nn.BatchNorm2d(6), nn.LazyBatchNorm2d())
    with pytest.raises(ValueError, match="as '1'; run the module on a batch first"):
        convert_batch_norm(model)
    assert not gates(model)
    model(images())
    assert gates(convert_batch_norm(model)) == {'0', '1'}


class Frozen(nn.BatchNorm2d):
    def forward(self, x):
        return x * self.weight[:, None, None] + self.bias[:, None, None]


def test_a_layer_with_another_forward_is_left_alone():
    model = nn.Sequential(Frozen(6), nn.BatchNorm2d(6), nn.InstanceNorm2d(6), nn.GroupNorm(2, 6))
    assert gates(convert_batch_norm(model)) == {'1'}
    assert [type(m) for m in model[::2]] == [Frozen, nn.InstanceNorm2d]
    with pytest.raises(ValueError, match='got Frozen without one'):
        convert_batch_norm(Frozen(6))


# Synchronized layers


@pytest.mark.parametrize('implementation', ['torch', 'mmcv', 'mmengine'])
def test_a_synchronized_layer_stays_synchronized(implementation, one_process):
    if implementation == 'torch':
        layer = nn.SyncBatchNorm(6, process_group=dist.group.WORLD)
    elif implementation == 'mmcv':
        layer = MMSyncBatchNorm(6, group=dist.group.WORLD)
    else:
        layer = MODELS.build(dict(type='SyncBN', num_features=6))
    norm = trained(nn.BatchNorm2d(6))
    layer.load_state_dict(norm.state_dict())
    kind = type(layer)
    layer = convert_batch_norm(nn.Sequential(layer.eval()))[0]
    assert not layer.mode.training
    assert torch.equal(layer(images()), norm.eval()(images()))
    assert type(layer) is BatchInstanceNorm  # which has no rank
    assert isinstance(layer.mode, MMSyncBatchNorm if implementation == 'mmcv' else nn.SyncBatchNorm)
    assert issubclass(kind, type(layer.mode))
    group = layer.mode.group if implementation == 'mmcv' else layer.mode.process_group
    assert group is (None if implementation == 'mmengine' else dist.group.WORLD)
    assert not hasattr(layer, 'group') and not hasattr(layer, 'process_group')
    torch.testing.assert_close(layer.train()(images()), norm.train()(images()))
    # MMEngine's way back finds it.
    layer = revert_sync_batchnorm(nn.Sequential(layer))[0]
    assert type(layer) is BatchInstanceNorm and isinstance(layer.mode, _BatchNormXd)


def test_a_layer_without_rank_takes_every_rank():
    norm = convert_batch_norm(trained(_BatchNormXd(6)))
    weights = {k: v for k, v in norm.state_dict().items() if k != 'rho'}
    for rank, cls in NORMS.items():
        plain = cls(6)
        plain.load_state_dict(weights)
        assert torch.equal(norm.eval()(images(rank)), plain.eval()(images(rank)))
    for shape in [(6,), (2, 5, 3), (2, 6, 1, 1, 1, 1)]:
        with pytest.raises(ValueError, match=r'needs \(N, 6, \*\) with 2 or 3 or 4 or 5 dim'):
            norm(torch.zeros(shape))


# Statistics per domain


def test_statistics_per_domain_stay():
    norm = trained(DomainBatchNorm2d(6))
    norm.keep_statistics_per_domain()
    nn.init.constant_(norm.source_mean, 3.0)
    norm.mode.eval()  # frozen by a host
    converted = convert_batch_norm(copy.deepcopy(norm))
    assert isinstance(converted, BatchInstanceNorm) and converted.per_domain
    assert not converted.mode.training and converted.training
    for layer in (norm, converted):
        with domains_of_images(layer, [True, False, True, False]):
            layer.result = layer(images())
    assert torch.equal(converted.result, norm.result)
    assert not torch.equal(converted.result, norm(images()))


# Initialization, as MMOCR's parts ask for it


BACKBONES = {
    'MiniVGG': 3,
    'ResNet31OCR': None,
    'NRTRModalityTransform': 2,
    'ShallowCNN': 2,
    'ResNetABI': None,
    'ResNet': None,
}
ARGS = dict(
    ResNetABI=dict(arch_settings=[1] * 5),
    ResNet31OCR=dict(layers=[1, 1, 1, 1], channels=[8, 8, 8, 8, 8, 8, 8]),
    ResNet=dict(
        in_channels=3,
        stem_channels=[4],
        arch_layers=[2, 1],
        arch_channels=[8, 8],
        strides=[2, 2],
        block_cfgs=dict(type='BasicBlock', use_conv1x1=False),
    ),
)


@pytest.mark.parametrize('name', BACKBONES)
def test_a_backbone_of_mmocr_is_converted_whole_and_initialized_as_before(name):
    cfg = dict(type=name, **ARGS.get(name, {}))
    models = []
    for cfg in (cfg, dict(cfg, type='mmocr_da.WithBIN', of=name)):
        torch.manual_seed(1)
        models.append(MODELS.build(cfg))
        models[-1].init_weights()
    plain, converted = models
    assert gates(converted) == batch_norms(plain) and not batch_norms(converted)
    assert len(gates(converted)) == (BACKBONES[name] or len(gates(converted))) > 0
    weights = converted.state_dict()
    for key, value in plain.state_dict().items():
        assert torch.equal(weights.pop(key), value), key
    assert weights and all((rho == 1).all() for rho in weights.values())


def test_the_initialization_is_not_the_default_one():
    """Without it the test above would say nothing: MiniVGG draws its batch norms' weights."""
    model = MODELS.build(dict(type='mmocr_da.WithBIN', of='MiniVGG'))
    model.init_weights()
    weight = model.cnn.batchnorm2.weight
    assert 0 < weight.min() < 0.1 and 0.9 < weight.max() < 1


def test_layers_with_statistics_per_domain_are_initialized_as_before():
    """Also if they become batch-instance norms on top, as in ``WithBIN`` of a recognizer."""
    models = [MODELS.build(dict(type='MiniVGG')) for _ in range(3)]
    keep_statistics_per_domain(models[1])
    convert_batch_norm(keep_statistics_per_domain(models[2]))
    for model in models:
        torch.manual_seed(1)
        model.init_weights()
    for name in batch_norms(models[0]):
        wanted, *got = (model.get_submodule(name) for model in models)
        assert [type(layer) for layer in got] == [DomainBatchNorm2d, BatchInstanceNorm2d]
        assert all(torch.equal(layer.weight, wanted.weight) for layer in got)


def test_only_initializers_of_batch_norms_change():
    model = MODELS.build(
        dict(
            type='mmocr_da.WithBIN',
            of='MiniVGG',
            exclude='cnn.batchnorm6',
            init_cfg=[
                dict(type='Constant', val=3.0, layer=['Conv2d', '_BatchNorm']),
                dict(type='Constant', val=5.0, layer='Linear'),
            ],
        )
    )
    alone = MODELS.build(
        dict(
            type='mmocr_da.WithBIN',
            of='MiniVGG',
            init_cfg=dict(type='Constant', val=3.0, layer='BatchNorm2d'),
        )
    )
    assert alone.init_cfg['layer'] == ['BatchNorm2d', 'BatchInstanceNorm2d']
    assert [cfg['layer'] for cfg in model.init_cfg] == [
        ['Conv2d', '_BatchNorm', 'BatchInstanceNorm2d'],
        'Linear',
    ]
    model.init_weights()
    assert all(
        (layer.weight == 3).all()
        for layer in (model.cnn.batchnorm2, model.cnn.batchnorm6, model.cnn.conv0)
    )


# In a config


def test_any_part_of_a_model_can_have_it(recognizer_cfg):
    cfg = ConfigDict(recognizer_cfg())
    cfg.backbone.update(type='mmocr_da.WithBIN', of='ResNet', exclude='stem_layers.*')
    model = MODELS.build(cfg)
    assert gates(model) == {f'backbone.{name}' for name in gates(model.backbone)}
    assert batch_norms(model) == {'backbone.stem_layers.0.bn'}


def test_an_adaptive_recognizer_can_have_it(recognizer_cfg, batch):
    cfg = ConfigDict(recognizer_cfg())
    cfg.update(
        type='mmocr_da.WithBIN',
        of='mmocr_da.AdaptiveRecognizer',
        include='backbone.*',
        objectives=[dict(type='mmocr_da.GlobalAlignment', in_channels=16, schedule='constant')],
    )
    model = MODELS.build(cfg).train()
    assert type(model).__name__ == 'AdaptiveRecognizer'
    assert gates(model) and not batch_norms(model.backbone)
    losses = model.loss(**batch())
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    for name, p in model.named_parameters():
        if name.endswith('.rho'):
            assert p.grad.isfinite().all() and p.grad.any()


@pytest.mark.parametrize('scope', ['mmocr', 'mmdet', 'mmocr_da'])
def test_a_type_is_looked_up_where_the_host_would(scope):
    """The scope of a part decides between MMOCR's and MMDetection's ``ResNet``."""
    args = dict(mmdet=dict(depth=18)).get(scope, ARGS['ResNet'])
    cfg = dict(type='mmocr_da.WithBIN', of='ResNet', _scope_=scope, **args)
    package = type(MODELS.build(cfg)).__module__.split('.')[0]
    assert package == dict(mmdet='mmdet').get(scope, 'mmocr')
    prefixed = MODELS.build(dict(type='mmocr_da.WithBIN', of='mmdet.ResNet', depth=18))
    assert type(prefixed).__module__.startswith('mmdet.') and gates(prefixed)


def test_a_detector_of_mmdetection_keeps_its_norms_in_evaluation():
    """``norm_eval`` of its ResNet: gates learn, running statistics are pretrained ones."""
    model = with_bin('mmdet.ResNet', depth=18, norm_eval=True, frozen_stages=1)
    model.train()
    x = torch.randn(2, 3, 64, 64)
    sum(y.sum() for y in model(x)).backward()
    for name in gates(model):
        layer = model.get_submodule(name)
        assert layer.num_batches_tracked == 0 and not layer.running_mean.any()
        frozen = name == 'bn1' or name.startswith('layer1.')
        assert layer.rho.requires_grad != frozen
        assert frozen or layer.rho.grad.any()


def test_a_pretrained_part_starts_with_the_weights_of_the_batch_norms(tmp_path):
    plain = MODELS.build(dict(type='mmdet.ResNet', depth=18))
    for m in plain.modules():
        if isinstance(m, nn.BatchNorm2d):
            trained(m)
    torch.save(plain.state_dict(), tmp_path / 'resnet.pth')
    cfg = dict(
        type='mmocr_da.WithBIN',
        of='mmdet.ResNet',
        depth=18,
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'resnet.pth')),
    )
    model = MODELS.build(cfg)
    model.init_weights()
    assert gates(model) == batch_norms(plain)
    assert all((model.get_submodule(name).rho == 1).all() for name in gates(model))
    for m in (model, plain):
        m.eval()  # MMDetection's returns None
    x = torch.randn(1, 3, 32, 32)
    assert all(map(torch.equal, model(x), plain(x)))


def test_an_inferencer_of_mmocr_reads_with_it_as_before(toy, tmp_path):
    plain = MODELS.build(Config.fromfile(toy).model)
    torch.save(plain.state_dict(), tmp_path / 'plain.pth')
    (tmp_path / 'bin.py').write_text(
        f'_base_ = {str(toy)!r}\n'
        "model = dict(type='mmocr_da.WithBIN', of='mmocr_da.AdaptiveRecognizer')\n"
    )
    results = []
    for config in (toy, tmp_path / 'bin.py'):
        reader = TextRecInferencer(str(config), str(tmp_path / 'plain.pth'), device='cpu')
        results.append(reader(str(toy.parent / 'source_0.png'), progress_bar=False))
    assert gates(reader.model) == batch_norms(plain)
    assert results[0] == results[1]


def test_the_type_of_the_part_is_needed():
    with pytest.raises(ValueError, match='WithBIN needs of='):
        MODELS.build(dict(type='mmocr_da.WithBIN', depth=18))
    with pytest.raises(KeyError, match='NoSuchModel'):
        MODELS.build(dict(type='mmocr_da.WithBIN', of='NoSuchModel'))


@pytest.mark.parametrize('globs', [dict(include='backbone.*'), dict(exclude='backbone.stem*')])
def test_a_teacher_is_converted_as_its_student(recognizer_cfg, globs):
    cfg = ConfigDict(recognizer_cfg())
    cfg.update(
        type='mmocr_da.WithBIN',
        of='mmocr_da.AdaptiveRecognizer',
        objectives=[dict(type='mmocr_da.SelfTraining')],
        **globs,
    )
    model = MODELS.build(cfg)
    model.init_weights()
    teacher = model.objectives['self_training'].teacher
    student = {name for name in gates(model) if not name.startswith('objectives')}
    assert gates(teacher) == student and student < {f'{n}' for n, _ in model.named_modules()}
    for layer in model.modules():
        if hasattr(layer, 'rho'):
            layer.rho.data.zero_()
    teacher.copy_from(model)
    image = torch.rand(2, 1, 32, 64)
    torch.testing.assert_close(teacher.backbone(image), model.eval().backbone(image))
