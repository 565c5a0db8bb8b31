"""Adaptations of the hosts."""

import pickle
import subprocess
import sys
from collections import OrderedDict
from unittest.mock import patch

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner.checkpoint import CheckpointLoader

from mmocr_da import compat
from mmocr_da.version import HOSTS

SUPPORTED = {
    'torch': '2.13.0+cpu',
    'mmengine': '0.10.7',
    'mmcv': '2.0.1',
    'mmdet': '3.1.0',
    'mmocr': '1.0.1',
    'numpy': '1.26.4',
}


def python(code):
    """Run ``code`` in a fresh interpreter; return its stdout."""
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], text=True, capture_output=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout.strip()


# ------------------------------------------------------------------------------------- versions


def test_supported_versions_pass():
    compat.check_hosts(HOSTS, SUPPORTED)


def test_what_is_installed_passes():
    compat.check_hosts()


@pytest.mark.parametrize(
    'name, version',
    [
        ('torch', '2.8.0'),
        ('torch', '2.14.0'),
        ('torch', '2.14.0.dev20261101'),
        ('mmengine', '0.10.6'),
        ('mmcv', '2.1.0'),
        ('mmcv', '1.7.2'),
        ('mmdet', '3.2.0'),
        ('mmocr', '1.0.0'),
        ('numpy', '2.0.0'),
    ],
)
def test_another_version_is_named_with_what_is_wanted(name, version):
    with pytest.raises(RuntimeError) as error:
        compat.check_hosts(HOSTS, {**SUPPORTED, name: version})
    message = str(error.value)
    assert f'{name}: wanted {HOSTS[name]}, found {version}' in message
    assert f'pip install "{name}{HOSTS[name]}"' in message and 'setup_env.py' in message
    assert sum(f'{other}: wanted' in message for other in HOSTS) == 1


def test_every_missing_host_is_named_at_once():
    with pytest.raises(RuntimeError) as error:
        compat.check_hosts(HOSTS, {})
    assert all(
        f'{name}: wanted {wanted}, found none' in str(error.value) for name, wanted in HOSTS.items()
    )


def test_an_mmcv_without_operators_is_named(monkeypatch):
    monkeypatch.setattr(compat, '_has_operators', lambda: False)
    with pytest.raises(RuntimeError, match='mmcv: wanted with compiled operators'):
        compat.check_hosts()


# ------------------------------------------------------------------------------- import order


def test_the_package_imports_neither_mmocr_nor_torchvision_which_can_follow():
    shown = python(
        'import sys, mmocr_da; print([name for name in sys.modules if name.split(".")'
        '[0] in ("mmocr", "mmcv", "mmdet", "torchvision")])\n'
        'import torchvision.transforms as t; print(t.ToTensor())'
    )
    assert shown.splitlines() == ['[]', 'ToTensor()']


def test_torchvision_can_be_imported_where_its_library_does_not_load():
    # What a CPU torch with the torchvision of PyPI is like, on any machine.
    code = """
import torch
def refuse(path):
    raise OSError("libcudart.so.13: cannot open shared object file")
torch.ops.load_library = refuse
import mmocr_da, torchvision, torchvision.transforms
try:
    torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), .5)
except RuntimeError as error:
    print(str(error)[:32])
"""
    assert python(code) == "Couldn't load custom C++ ops. Th"


def test_a_library_that_loads_keeps_its_own_operators(monkeypatch):
    declared = len(compat._libraries)
    monkeypatch.delitem(sys.modules, 'torchvision', raising=False)
    monkeypatch.setattr(torch.ops, 'load_library', lambda path: None)
    compat._declare_torchvision_operators()
    assert len(compat._libraries) == declared


def test_applying_twice_is_applying_once():
    loader = CheckpointLoader._schemes['']
    compat.apply()
    assert CheckpointLoader._schemes[''] is loader


# ------------------------------------------------------------------------------------ autocast


def test_a_pass_without_gradients_leaves_nothing_in_autocasts_cache(monkeypatch):
    cleared = []
    monkeypatch.setattr(torch, 'clear_autocast_cache', lambda: cleared.append(1))
    with compat.no_grad():
        assert not torch.is_grad_enabled() and not cleared
    assert torch.is_grad_enabled() and cleared
    with pytest.raises(ValueError), compat.no_grad():
        raise ValueError
    assert len(cleared) == 2


# --------------------------------------------------------------------------------- checkpoints


def load(path):
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')


@pytest.fixture
def checkpoint(tmp_path):
    """A file with all that MMEngine puts beside the weights."""
    hub = MessageHub('test_compat')
    for value in (1.0, 2.0, 4.0):
        hub.update_scalar('train/loss', value)
        hub.update_scalar('train/grad_norm', np.float32(value).item())
    hub.update_info('iter', 3)
    path = tmp_path / 'iter_3.pth'
    torch.save(
        dict(
            meta=dict(iter=3, epoch=0),
            message_hub=hub.state_dict(),
            state_dict=OrderedDict(weight=torch.arange(6.0)),
            numbers=[np.float64(1.5), np.int64(2), np.arange(3), np.float32(1)],
        ),
        path,
    )
    return path


def test_a_checkpoint_of_mmengine_loads_with_weights_only(checkpoint):
    loaded = torch.load(checkpoint, weights_only=True)
    buffer = loaded['message_hub']['log_scalars']['train/loss']
    assert isinstance(buffer, HistoryBuffer)
    assert buffer.statistics('mean') == pytest.approx(7 / 3) and buffer.current() == 4
    assert loaded['numbers'][0] == 1.5 and (loaded['numbers'][2] == np.arange(3)).all()


class Malicious:
    def __reduce__(self):
        return (exec, ('raise SystemExit("code of a checkpoint was run")',))


class LookUp:
    """Pickles as a look-up of ``name`` of ``owner``, the one thing the allow-list lets through."""

    def __init__(self, owner, name):
        self.owner, self.name = owner, name

    def __reduce__(self):
        return (getattr, (self.owner, self.name))


@pytest.mark.parametrize(
    'content',
    [
        Malicious(),
        LookUp(HistoryBuffer, '__init__'),
        LookUp(HistoryBuffer, '__class__'),
        LookUp(np.ndarray, 'tofile'),
        LookUp(np.ndarray, 'mean'),
        LookUp(torch.Tensor, 'storage'),
    ],
)
def test_a_checkpoint_cannot_run_or_look_up_anything_else(content, tmp_path):
    torch.save(dict(state_dict={}, extra=content), tmp_path / 'evil.pth')
    with pytest.raises(pickle.UnpicklingError):
        load(tmp_path / 'evil.pth')


@pytest.mark.parametrize('kept', [0, 2, 100, 0.5, 0.999])
def test_a_cut_off_checkpoint_is_named_with_what_to_do(kept, checkpoint):
    whole = checkpoint.read_bytes()
    cut = checkpoint.with_name('iter_4.pth')
    cut.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(ValueError) as error:
        load(cut)
    message = str(error.value)
    assert str(cut) in message and 'not a whole checkpoint' in message
    assert 'Delete it' in message and f'load_from={checkpoint}' in message


def test_a_cut_off_checkpoint_of_the_old_format_is_named(tmp_path):
    path = tmp_path / 'old.pth'
    torch.save(dict(weight=torch.rand(1000)), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match='not a whole checkpoint.*has no other: start'):
        load(path)


def test_a_missing_checkpoint_is_named_with_the_one_to_take(checkpoint):
    with pytest.raises(FileNotFoundError, match=f'no checkpoint .*iter_9.*load_from={checkpoint}'):
        load(checkpoint.with_name('iter_9.pth'))


def test_other_errors_of_a_whole_checkpoint_stay_as_they_are(checkpoint, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError('Attempting to deserialize object on a CUDA device')

    monkeypatch.setattr(torch, 'load', fail)
    with pytest.raises(RuntimeError, match='on a CUDA device'):
        load(checkpoint)


# --------------------------------------------------------------------------------------- datasets


def test_a_condition_sees_what_it_did_and_is_parsed_once():
    from mmocr.datasets.transforms import ConditionApply

    import mmocr_da.datasets  # noqa: F401

    double = dict(type='ConditionApply', condition="results.update(n=2 * results['n'])")
    transform = ConditionApply(
        condition="  np.abs(results['n']) > len(self.true_transforms.transforms)",
        true_transforms=[double],
        false_transforms=[double, double],
    )
    assert [transform(dict(n=n))['n'] for n in (-5, 1)] == [-10, 4]
    with patch('builtins.compile', side_effect=AssertionError):
        assert transform(dict(n=3))['n'] == 6
    # It can be sent to workers.
    assert pickle.loads(pickle.dumps(transform))(dict(n=3))['n'] == 6


def test_a_condition_that_does_not_parse_is_an_error():
    from mmocr.datasets.transforms import ConditionApply

    import mmocr_da.datasets  # noqa: F401

    with pytest.raises(SyntaxError):
        ConditionApply(condition='a = 1')({})
