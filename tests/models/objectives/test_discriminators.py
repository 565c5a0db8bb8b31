import torch
import torch.nn.functional as F

from mmocr_da.models.objectives import DomainDiscriminator


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
