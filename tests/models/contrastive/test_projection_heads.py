import pytest
import torch

from mmocr_da.models.contrastive import BiLSTMProjection, MLPProjection
from mmocr_da.registry import MODELS

HEADS = ('mmocr_da.MLPProjection', 'mmocr_da.BiLSTMProjection')


@pytest.fixture(params=HEADS)
def head(request):
    return MODELS.build(dict(type=request.param, in_channels=4, hidden_channels=6, out_channels=3))


def test_an_image_gives_the_same_with_and_without_padding(head):
    frames = torch.randn(3, 9, 4)
    lengths = torch.tensor([4, 9, 1])  # not sorted
    out = head(frames, lengths)
    assert out.shape == (3, 9, 3)
    for x, n, y in zip(frames, lengths, out):
        torch.testing.assert_close(y[:n], head(x[None, :n], torch.tensor([int(n)]))[0])


def test_padding_gets_no_gradient_from_frames(head):
    frames = torch.randn(2, 5, 4, requires_grad=True)
    head(frames, torch.tensor([2, 5]))[0, :2].sum().backward()
    assert (frames.grad[0, 2:] == 0).all() and (frames.grad[0, :2] != 0).any()


def test_the_mlp_is_two_layers_on_each_frame():
    head = MLPProjection(4, 6, 3)
    first, _, second = head.layers
    x = torch.randn(2, 5, 4)
    hidden = (x @ first.weight.T + first.bias).clamp(min=0)
    torch.testing.assert_close(head(x, None), hidden @ second.weight.T + second.bias)
    order = torch.randperm(5)
    torch.testing.assert_close(head(x, None)[:, order], head(x[:, order], None))


def test_the_bilstm_sees_both_neighbours_and_is_that_of_mmocr():
    head = BiLSTMProjection(4, 6, 3)
    x = torch.randn(2, 5, 4, requires_grad=True)
    lengths = torch.tensor([5, 5])
    torch.testing.assert_close(
        head(x, lengths), super(BiLSTMProjection, head).forward(x.transpose(0, 1)).transpose(0, 1)
    )
    head(x, lengths)[0, 2].sum().backward()
    assert (x.grad[0] != 0).all() and (x.grad[1] == 0).all()
