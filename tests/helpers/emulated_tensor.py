"""Tensors of the emulated device, and what an operator on them means for the host."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

CUDA, CPU = torch.device('cuda:0'), torch.device('cpu')
#: What torch itself takes tensors of the device for: it runs their backward without a driver, and
#: whatever it makes beside them is made there, too.
META = torch.device('meta')
HELPERS, PACKAGE = Path(__file__).parent, Path(__file__).parents[2] / 'mmocr_da'

#: Operators whose result, or its size, the host needs.
WAITING = {
    '_local_scalar_dense',
    'nonzero',
    'masked_select',
    '_unique2',
    'unique_dim',
    'equal',
    'unique_consecutive',
    'bincount',
    '_linalg_svd',
    '_linalg_eigh',
}
#: Operators that start no kernel, beside views.
NO_KERNEL = {
    'empty',
    'empty_like',
    'empty_strided',
    'new_empty',
    'new_empty_strided',
    'detach',
    'alias',
    'lift_fresh',
    '_reshape_alias',
    '_unsafe_view',
    '_local_scalar_dense',
}
#: Operators that also take a number on the CPU, beside pointwise ones.
TAKES_NUMBERS = {
    'where',
    'masked_fill',
    'masked_fill_',
    'fill',
    'fill_',
    'lerp',
    'lerp_',
    'index_fill',
    'index_fill_',
    'index_put',
    'index_put_',
    '_index_put_impl_',
}
#: Arguments that stay on the CPU, by operator.
ON_THE_HOST = {
    '_pack_padded_sequence': (1,),
    '_pack_padded_sequence_backward': (2,),
    '_pad_packed_sequence': (1,),
    '_ctc_loss': (2, 3),
    '_ctc_loss_backward': (3, 4),
}
#: Tensors in pinned memory, by identity.
PINNED = torch.utils.weak.WeakIdKeyDictionary()


class Wait(NamedTuple):
    """``operator`` made the host wait; ``line`` of the package led to it, ``caller`` called it."""

    operator: str
    line: str
    caller: str


@dataclass
class Record:
    """What the device was asked for."""

    events: Counter = field(default_factory=Counter)
    #: Number of kernels; an operator that starts several counts once.
    kernels: int = 0

    def waits(self, by: str = '') -> dict:
        """Number of waits by line of the package and operator.

        ``by`` selects those whose caller, the innermost frame outside torch, is in a package:
        ``'mmocr_da'`` for its own, ``'mmocr'`` or ``'mmdet'`` for a host's.
        """
        out = Counter()
        for wait, count in self.events.items():
            if wait.caller.startswith(f'{by}/' if by else ''):
                out[f'{wait.line} {wait.operator}'] += count
        return dict(out)

    def clear(self) -> None:
        self.events.clear()
        self.kernels = 0

    def wait(self, operator: str) -> None:
        self.events[Wait(operator, *_lines())] += 1


RECORD = Record()


def _lines():
    """The innermost line of the package, and the innermost one outside torch."""
    caller, frame = '', sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if '/torch/' not in file and not file.startswith(('<', str(HELPERS))):
            ours = file.startswith(str(PACKAGE))
            base = str(PACKAGE.parent) if ours else 'site-packages'
            line = f'{file.rpartition(base)[2].lstrip("/")}:{frame.f_lineno}'
            caller = caller or line
            if ours:
                return line, caller
        frame = frame.f_back
    return '-', caller or '-'


class EmulatedCuda(Tensor):
    """A tensor of the emulated device; ``inner`` has its numbers."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_meta = property(lambda self: False)

    @staticmethod
    def __new__(cls, inner: Tensor) -> 'EmulatedCuda':
        out = Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=META,
        )
        out.inner = inner.detach()
        return out

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return emulate(func, args, kwargs or {})

    def __getitem__(self, index):
        return super().__getitem__(_without_lists(index))

    def __setitem__(self, index, value):
        super().__setitem__(_without_lists(index), value)

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self, *args, **kwargs):
        raise TypeError(
            "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to "
            'copy the tensor to host memory first.'
        )

    __array__ = numpy

    def __repr__(self, **kwargs):
        return f'EmulatedCuda({tuple(self.shape)}, {self.dtype})'


def _without_lists(index):
    """Lists as tensors: torch would make them on the device, which holds nothing."""
    if isinstance(index, tuple):
        return tuple(map(_without_lists, index))
    return torch.tensor(index) if isinstance(index, (list, np.ndarray)) else index


def is_emulated(x) -> bool:
    return isinstance(x, EmulatedCuda)


def inner_of(x):
    return x.inner if is_emulated(x) else x


def as_emulated(x):
    return EmulatedCuda(x) if isinstance(x, Tensor) and not is_emulated(x) else x


def _leaves(items):
    """What is in lists and tuples, at any depth; torch's own does it three times as slowly."""
    for x in items:
        if isinstance(x, (list, tuple)):
            yield from _leaves(x)
        else:
            yield x


def map_nested(call, x):
    if isinstance(x, (list, tuple)):
        return type(x)(map_nested(call, item) for item in x)
    return call(x)


def emulate(func, args, kwargs):
    """Run an operator on the CPU, if CUDA would, and record what it means for the host."""
    name = func._schema.name.split('::')[1]
    tensors = [x for x in _leaves((*args, *kwargs.values())) if isinstance(x, Tensor)]
    device = kwargs.get('device')
    to_device = any(map(is_emulated, tensors)) if device is None else device.type == 'meta'
    if not to_device and not any(map(is_emulated, tensors)):
        return func(*args, **kwargs)
    if device is not None:
        kwargs = dict(kwargs, device=CPU)
    if name in ('_to_copy', 'copy_'):
        _record_copy(name, args, kwargs, to_device)
    elif name in _INDEXING:
        _record_indexing(args[0], args[1])
    elif name in ON_THE_HOST:
        _record_host_arguments(func, name, args)
    else:
        _check_devices(func, name, tensors)
        if name in WAITING or (
            name == 'repeat_interleave'
            and is_emulated(args[0])
            and kwargs.get('output_size') is None
        ):
            RECORD.wait(name)
        elif name.startswith('masked_fill') and is_emulated(args[2]):
            RECORD.wait(f'{name} with a value on the device')
    if not func.is_view and name not in NO_KERNEL:
        RECORD.kernels += 1
    out = func(
        *map_nested(inner_of, args), **{key: map_nested(inner_of, x) for key, x in kwargs.items()}
    )
    if torch.Tag.inplace_view in func.tags:  # its shape changes, too
        with torch._C._DisableTorchDispatch():
            func(*args, **kwargs)
    return _wrapped(func, args, kwargs, out, to_device)


_INDEXING = {
    'index',
    '_unsafe_index',
    'index_put',
    'index_put_',
    '_unsafe_index_put',
    '_index_put_impl_',
}


def _check_devices(func, name: str, tensors: Sequence[Tensor]) -> None:
    others = [x for x in tensors if not is_emulated(x)]
    takes_numbers = torch.Tag.pointwise in func.tags or name in TAKES_NUMBERS
    if len(others) in (0, len(tensors)) or (
        takes_numbers and not any(x.dim() for x in others) and is_emulated(tensors[0])
    ):
        return
    raise RuntimeError(
        'Expected all tensors to be on the same device, but found at least two '
        f'devices, cuda:0 and cpu! (when calling {func})'
    )


def _record_copy(name, args, kwargs, to_device: bool) -> None:
    if name == 'copy_':
        to_device, source = is_emulated(args[0]), args[1]
        lazy = args[2] if len(args) > 2 else kwargs.get('non_blocking', False)
    else:
        source, lazy = args[0], kwargs.get('non_blocking', False)
    pinned = lazy and source in PINNED
    if to_device and not is_emulated(source) and source.numel() and not pinned:
        RECORD.wait('copy to the device')
    elif is_emulated(source) and not to_device:
        if lazy:
            raise RuntimeError(
                'a copy to the CPU with non_blocking=True: its values may not have '
                'come when they are read'
            )
        RECORD.wait('copy to the CPU')


def _record_indexing(owner: Tensor, indices: Sequence[Tensor | None]) -> None:
    for index in indices:
        if index is None:
            continue
        if is_emulated(index) and not is_emulated(owner):
            raise RuntimeError(
                'indices should be either on cpu or on the same device as the indexed tensor (cpu)'
            )
        if index.dtype in (torch.bool, torch.uint8):
            RECORD.wait('boolean index')
        elif is_emulated(owner) and not is_emulated(index):
            RECORD.wait('index on the CPU')


def _record_host_arguments(func, name: str, args) -> None:
    stay = ON_THE_HOST[name]
    _check_devices(
        func, name, [x for i, x in enumerate(args) if isinstance(x, Tensor) and i not in stay]
    )
    if any(is_emulated(args[i]) for i in stay):
        raise RuntimeError(f'lengths must be on the CPU, got some on cuda:0 (when calling {func})')
    for _ in range(3 if 'ctc' in name else 0):  # both lengths and the offsets of the targets
        RECORD.wait('copy to the device')


def _wrapped(func, args, kwargs, out, to_device: bool):
    """Results as tensors of the device; what was written to is what was given."""
    schema, written = func._schema, {}
    for i, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[i] if i < len(args) else kwargs.get(argument.name)
            written.update(dict.fromkeys(argument.alias_info.before_set, value))

    def wrap(x, spec):
        if spec is not None and spec.alias_info is not None and spec.alias_info.is_write:
            return next(written[key] for key in spec.alias_info.before_set)
        return map_nested(as_emulated, x) if to_device else x

    if func is torch.ops.aten._pack_padded_sequence.default:
        return EmulatedCuda(out[0]), out[1]  # sizes of batches stay on the CPU
    if isinstance(out, tuple) and len(schema.returns) == len(out):
        return tuple(map(wrap, out, schema.returns))
    return wrap(out, schema.returns[0] if schema.returns else None)
