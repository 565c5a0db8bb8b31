"""The final classifier by itself: a matrix and a bias, in single precision at least."""

import pytest
import torch
from torch import nn

from mmocr_da.models.decoders.classifier import classify


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('layer', [nn.Linear, nn.Conv2d])
def test_classify_is_a_matrix_and_a_bias(layer, bias):
    size = dict(kernel_size=1) if layer is nn.Conv2d else {}
    classifier = layer(3, 4, bias=bias, **size).double()
    features = torch.randn(5, 3, dtype=torch.double, requires_grad=True)
    logits = classify(features, classifier)
    for m in range(5):
        for k in range(4):
            wanted = sum(features[m, i] * classifier.weight[k, i] for i in range(3)).squeeze()
            wanted = wanted + classifier.bias[k] if bias else wanted
            torch.testing.assert_close(logits[m, k], wanted)
    assert torch.equal(logits, classify(features, classifier, detach=True))


def test_classify_lets_the_gradient_through_or_not():
    classifier, features = nn.Linear(3, 4), torch.randn(5, 3, requires_grad=True)
    classify(features, classifier, detach=True).sum().backward()
    torch.testing.assert_close(features.grad, classifier.weight.sum(0).detach().expand(5, 3))
    assert classifier.weight.grad is None and classifier.bias.grad is None
    classify(features.detach(), classifier).sum().backward()
    assert classifier.weight.grad is not None and classifier.bias.grad is not None


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float32])
def test_classify_computes_in_single_precision_at_least(dtype):
    classifier, features = nn.Linear(3, 4), torch.randn(5, 3).to(dtype)
    logits = classify(features, classifier.to(dtype))
    assert logits.dtype == torch.float32
    exact = classify(features.double(), classifier)
    torch.testing.assert_close(logits.double(), exact, rtol=1e-6, atol=1e-6)
