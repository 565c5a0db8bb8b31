"""Numbers reach a device without a wait, and constants once."""

import pytest
import torch
from helpers.emulated_cuda import emulated_cuda, on_cuda

from mmocr_da.device import constant, on_device


@pytest.mark.parametrize('values', [[1, 2, 3], [True, False], [0.5], torch.tensor([[1.0, 2.0]])])
@pytest.mark.parametrize('dtype', [None, torch.float64])
def test_it_is_torch_tensor(values, dtype):
    wanted = torch.as_tensor(values, dtype=dtype)
    for device in (None, 'cpu', torch.device('cpu')):
        assert torch.equal(on_device(values, device, dtype), wanted)
        assert on_device(values, device, dtype).dtype == wanted.dtype
    with emulated_cuda() as record:
        for device in ('cuda', torch.device('cuda:0')):
            found = on_device(values, device, dtype)
            assert found.is_cuda and record.waits() == {}
            assert torch.equal(found.cpu(), wanted)
            record.clear()


def test_a_constant_is_copied_once_for_a_device_and_a_dtype():
    x = torch.ones(2, dtype=torch.float16)
    with emulated_cuda() as record:
        first = constant((0.1, 0.2), on_cuda(x))
        kernels = record.kernels
        assert constant((0.1, 0.2), on_cuda(x)) is first and record.kernels == kernels
        assert record.waits() == {}
    assert first.dtype == torch.float16
    assert constant((0.1, 0.2), x).device.type == 'cpu'
    assert torch.equal(constant((0.1, 0.2), x.float()), torch.tensor([0.1, 0.2]))


def test_a_constant_of_inference_serves_training():
    x = torch.ones(2, requires_grad=True)
    with torch.inference_mode():
        constant((3.25, 4.5), x)
    (x * constant((3.25, 4.5), x)).sum().backward()
    assert x.grad.tolist() == [3.25, 4.5]
