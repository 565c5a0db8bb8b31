"""A CUDA device for a machine that has none: it finds mixed devices and waits of the host.

::

    with emulated_cuda() as record:
        losses = on_cuda(model).loss(on_cuda(inputs), data_samples)
    assert record.waits() == {'mmocr_da/models/objectives/objective.py:12 nonzero': 1}

Inside, a tensor of the device says ``cuda:0`` and holds its numbers on the CPU. What CUDA refuses
(tensors of two devices, ``numpy()``) is an error. Every time the host waits for the device is
recorded with the line that causes it, and kernels are counted. The cases of the package are in
``tests/test_host_waits.py``.

The host waits where it needs a value or a size from the device (``item``, ``tolist``, ``cpu``,
``nonzero``, a boolean index), and for each copy to the device that is not both pinned and
``non_blocking``: ``torch.tensor(1, device='cuda')``, ``x.new_tensor(1)``, ``x.to('cuda')``, an
index that is on the CPU.

Not seen: numbers, memory and speed of CUDA, its kernels' own checks, autocast, other processes.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Union
from unittest.mock import patch

import torch
from helpers.emulated_tensor import (
    CPU,
    CUDA,
    META,
    PINNED,
    RECORD,
    EmulatedCuda,
    Record,
    as_emulated,
    emulate,
    inner_of,
    is_emulated,
    map_nested,
)
from mmengine.structures import instance_data
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

#: mmcv's operators that copy boxes to the host.
MMCV_WAITING = {'nms', 'softnms', 'nms_rotated', 'nms_match'}


def on_cuda(x):
    """A module, in place, or a copy of a tensor on the device, without being recorded."""
    if isinstance(x, Tensor):
        return x if is_emulated(x) else EmulatedCuda(x.clone()).requires_grad_(x.requires_grad)
    moved = {}
    for module in x.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:  # one that two modules share stays one
                module._parameters[name] = moved.setdefault(
                    parameter, nn.Parameter(EmulatedCuda(parameter.data), parameter.requires_grad)
                )
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = moved.setdefault(buffer, EmulatedCuda(buffer))
        if hasattr(module, '_device'):  # MMEngine's data preprocessors
            module._device = CUDA
    return x


class _Mode(TorchDispatchMode):
    """Sees what is made on the device and copied there."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return emulate(func, args, kwargs or {})


_FACTORIES = (
    'arange',
    'empty',
    'eye',
    'full',
    'linspace',
    'ones',
    'rand',
    'randint',
    'randn',
    'randperm',
    'zeros',
    'empty_like',
    'full_like',
    'ones_like',
    'rand_like',
    'randn_like',
    'zeros_like',
)
_METHODS = ('to', 'new_empty', 'new_full', 'new_ones', 'new_zeros')


def _is_cuda(x) -> bool:
    return (isinstance(x, torch.device) and x.type == 'cuda') or (
        isinstance(x, str) and x.split(':')[0] == 'cuda'
    )


def _with_device(call):
    """Its device cuda means the emulated one."""

    def wrapper(*args, **kwargs):
        args = [META if _is_cuda(x) else x for x in args]
        return call(*args, **{k: META if _is_cuda(x) else x for k, x in kwargs.items()})

    return wrapper


def _from_numbers(call):
    """``torch.tensor`` and its like: made on the CPU, and copied."""

    def wrapper(*args, device=None, **kwargs):
        given = [x for x in args if is_emulated(x)]
        out = call(*(inner_of(x) for x in args), device=CPU, **kwargs)
        if (device is None and given) or _is_cuda(device):
            if not (given and call.__name__ == 'as_tensor'):
                RECORD.wait('copy to the device')
            out = EmulatedCuda(out)
        return out

    return wrapper


def _pin_memory(x: Tensor, device=None) -> Tensor:
    out = x.clone()
    PINNED[out] = True
    return out


def _ctc_loss(call):
    """Lengths stay on the CPU, and are copied where torch divides by them."""

    def wrapper(
        log_probs, targets, input_lengths, target_lengths, blank=0, reduction=1, zero_infinity=False
    ):
        if not is_emulated(log_probs):
            return call(
                log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity
            )
        losses = call(
            log_probs,
            targets.to(log_probs.device),
            input_lengths,
            target_lengths,
            blank,
            0,
            zero_infinity,
        )
        if reduction != 1:
            return losses if reduction == 0 else losses.sum()
        return (losses / target_lengths.clamp(min=1).to(losses)).mean()

    return wrapper


def _mmcv_operator(name, call):

    def wrapper(*args, **kwargs):
        tensors = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]
        if not any(map(is_emulated, tensors)):
            return call(*args, **kwargs)
        if not all(map(is_emulated, tensors)):
            raise RuntimeError(f'{name}: at least one of the tensors is not on the device')
        if name in MMCV_WAITING:
            RECORD.wait(f'mmcv {name}')
        RECORD.kernels += 1
        out = call(*map(inner_of, args), **{k: inner_of(x) for k, x in kwargs.items()})
        return map_nested(as_emulated, out)

    return wrapper


class _Indexes(type):
    """What MMEngine takes for ``torch.cuda.LongTensor``."""

    def __instancecheck__(cls, x) -> bool:
        return is_emulated(x) and x.dtype == cls.dtype


@contextmanager
def emulated_cuda() -> Iterator[Record]:
    """Within it there is a device ``cuda:0``; what the host waits for is recorded."""
    import mmcv._ext

    RECORD.clear()
    with ExitStack() as stack:

        def replace(owner, name, make):
            stack.enter_context(patch.object(owner, name, make))

        for name in _FACTORIES:
            replace(torch, name, _with_device(getattr(torch, name)))
        for name in _METHODS:
            replace(Tensor, name, _with_device(getattr(Tensor, name)))
        for owner, name in ((torch, 'tensor'), (torch, 'as_tensor'), (Tensor, 'new_tensor')):
            replace(owner, name, _from_numbers(getattr(owner, name)))
        replace(Tensor, 'pin_memory', _pin_memory)
        replace(torch, 'ctc_loss', _ctc_loss(torch.ctc_loss))
        for name in dir(mmcv._ext):
            call = getattr(mmcv._ext, name)
            if callable(call) and not name.startswith('_') and name[0].islower():
                replace(mmcv._ext, name, _mmcv_operator(name, call))
        for name, dtype in (('BoolTypeTensor', torch.bool), ('LongTypeTensor', torch.long)):
            known = getattr(instance_data, name)
            kind = Union[(*known.__args__, _Indexes(name, (), dict(dtype=dtype)))]
            replace(instance_data, name, kind)
            replace(instance_data, 'IndexType', instance_data.IndexType | kind)
        stack.enter_context(_Mode())
        yield RECORD
