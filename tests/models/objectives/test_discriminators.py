import math

import torch
import torch.nn.functional as F

from mmocr_da.models.objectives import DomainDiscriminator, PublishedDomainDiscriminator


def test_two_fully_connected_layers():
    """32 * 100 + 100 weights and biases, then 100 + 1."""
    net = DomainDiscriminator(32)
    assert sum(p.numel() for p in net.parameters()) == 32 * 100 + 100 + 100 + 1
    assert net(torch.randn(5, 32)).shape == (5, 1)


def test_it_can_separate_what_is_separable():
    net = DomainDiscriminator(4)
    x = torch.cat([torch.randn(64, 4) - 2, torch.randn(64, 4) + 2])
    y = torch.cat([torch.zeros(64, 1), torch.ones(64, 1)])
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(100):
        loss = F.binary_cross_entropy_with_logits(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


def test_published_head_never_beats_ln_2_on_the_source():
    net = PublishedDomainDiscriminator(4)
    logits = net(torch.randn(64, 4))
    assert logits.shape == (64, 2) and (logits >= 0).all()
    assert F.binary_cross_entropy_with_logits(logits, torch.zeros(64, 2)) >= math.log(2)


def test_published_head_takes_one_row_and_none():
    net = PublishedDomainDiscriminator(4)
    assert net(torch.randn(1, 4)).isfinite().all()
    assert net(torch.randn(0, 4)).shape == (0, 2)
