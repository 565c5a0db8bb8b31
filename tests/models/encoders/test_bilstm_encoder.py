import torch

from mmocr_da.models.encoders import BiLSTMEncoder


def test_sequence_goes_column_by_column():
    encoder = BiLSTMEncoder(3, 4, 5, num_layers=2)
    feat = torch.randn(2, 3, 2, 6)
    out = encoder(feat)
    assert out.shape == (2, 12, 5)
    by_hand = torch.stack([feat[:, :, h, w] for w in range(6) for h in range(2)])
    torch.testing.assert_close(out, encoder.layers(by_hand).transpose(0, 1))


def test_images_do_not_see_each_other():
    encoder = BiLSTMEncoder(3, 4, 5)
    feat = torch.randn(2, 3, 1, 6)
    torch.testing.assert_close(encoder(feat)[:1], encoder(feat[:1]))


def test_each_position_sees_the_whole_image():
    encoder = BiLSTMEncoder(3, 4, 5)
    feat = torch.randn(1, 3, 1, 6, requires_grad=True)
    (grad,) = torch.autograd.grad(encoder(feat)[0, 2].sum(), feat)
    assert (grad.abs().sum((0, 1, 2)) > 0).all()


def test_as_a_map_of_height_one_it_is_the_same():
    encoder = BiLSTMEncoder(3, 4, 5)
    as_map = BiLSTMEncoder(3, 4, 5, as_map=True)
    as_map.load_state_dict(encoder.state_dict(), strict=True)
    feat = torch.randn(2, 3, 2, 6)
    out = as_map(feat)
    assert out.shape == (2, 5, 1, 12)
    torch.testing.assert_close(out[:, :, 0].transpose(1, 2), encoder(feat))
