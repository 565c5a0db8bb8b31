"""Operators of MMCV that are missing on a GPU are named before the first iteration."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmocr.registry import MODELS
from torch import nn

from mmocr_da.engine.guards import GUARDS
from mmocr_da.engine.hooks import operators_hook
from mmocr_da.engine.hooks.operators_hook import OperatorsHook, users_of_operators


def build(text, tmp_path):
    (tmp_path / 'config.py').write_text(text)
    return MODELS.build(Config.fromfile(tmp_path / 'config.py').model)


@pytest.mark.parametrize(
    'config, users',
    [
        ('mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py', []),
        ('mmocr::textdet/dbnet/dbnet_resnet18_fpnc_1200e_icdar2015.py', []),
        (
            'mmocr::textdet/dbnet/dbnet_resnet50-dcnv2_fpnc_1200e_icdar2015.py',
            ['ModulatedDeformConv2dPack'],
        ),
        ('mmocr_da::learned_surrogate/small/small_rrpn_scenes.py', ['RPNHead', 'Rotated']),
    ],
)
def test_modules_that_call_operators_are_found(config, users, tmp_path):
    found = users_of_operators(build(f'_base_ = {config!r}\n', tmp_path))
    assert len(found) >= len(users) and all(any(user in name for name in found) for user in users)
    assert bool(found) == bool(users)


class OnGPU(nn.Module):
    """Says that its parameters are on a GPU."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def parameters(self, recurse=True):
        return iter([SimpleNamespace(is_cuda=True)])


@pytest.mark.parametrize(
    'cuda, on_gpu, fails',
    [('not available', True, True), ('not available', False, False), ('12.8', True, False)],
)
def test_a_run_stops_before_it_starts(monkeypatch, cuda, on_gpu, fails):
    from mmcv.ops import RoIAlign

    monkeypatch.setattr(operators_hook, 'get_compiling_cuda_version', lambda: cuda)
    parts = nn.Sequential(nn.Linear(1, 1), RoIAlign(2))
    runner = SimpleNamespace(model=OnGPU(parts) if on_gpu else parts)
    assert OperatorsHook in GUARDS
    if not fails:
        return OperatorsHook().before_run(runner)
    with pytest.raises(ValueError, match=r'\(for RoIAlign\), got an MMCV that .* CPUs only'):
        OperatorsHook().before_run(runner)


def test_a_recognizer_without_them_runs(monkeypatch):
    monkeypatch.setattr(operators_hook, 'get_compiling_cuda_version', lambda: 'not available')
    OperatorsHook().before_run(SimpleNamespace(model=OnGPU(nn.Conv2d(1, 1, 1))))
