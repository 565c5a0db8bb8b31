import pytest
import torch
import torch.nn.functional as F

from mmocr_da.models.contrastive import AllToInstance, FrameToInstance, WindowToInstance
from mmocr_da.registry import MODELS


def frames_and_lengths():
    return torch.randn(5, 26, 3, dtype=torch.float64), torch.tensor([26, 25, 7, 3, 1])


@pytest.mark.parametrize('num_windows', [1, 2, 5, 26, 40])
def test_windows_are_those_of_adaptive_pooling_without_padding(num_windows):
    frames, lengths = frames_and_lengths()
    instances, exists = WindowToInstance(num_windows)(frames, lengths)
    assert instances.shape == (5, num_windows, 3)
    for x, n, z, there in zip(frames, lengths, instances, exists):
        count = min(num_windows, int(n))
        assert there.tolist() == [True] * count + [False] * (num_windows - count)
        pooled = F.adaptive_avg_pool1d(x[:n].T[None], count)[0].T
        torch.testing.assert_close(z[:count], pooled)


def test_by_hand():
    # T = 26, T' = 5: frames 0 to 5, 5 to 10, 10 to 15, 15 to 20, 20 to 25 (both ends included).
    frames = torch.arange(26.0)[None, :, None]
    instances, _ = WindowToInstance(5)(frames, torch.tensor([26]))
    assert instances.flatten().tolist() == [2.5, 7.5, 12.5, 17.5, 22.5]


@pytest.mark.parametrize('mapping', [AllToInstance(), WindowToInstance(5), FrameToInstance()])
@pytest.mark.parametrize('filling', [9.0, float('nan'), float('inf')])
def test_padding_is_in_no_instance(mapping, filling):
    frames, lengths = frames_and_lengths()
    frames.requires_grad_()
    padding = torch.arange(26) >= lengths[:, None]
    instances, exists = mapping(frames, lengths)
    filled, _ = mapping(frames.masked_fill(padding[..., None], filling), lengths)
    torch.testing.assert_close(instances[exists], filled[exists], rtol=0, atol=0)
    filled[exists].square().sum().backward()
    assert (frames.grad[padding] == 0).all() and (frames.grad[~padding] != 0).any(-1).all()


def test_all_is_the_mean_and_one_window():
    frames, lengths = frames_and_lengths()
    instances, exists = AllToInstance()(frames, lengths)
    assert instances.shape == (5, 1, 3) and exists.all()
    for x, n, z in zip(frames, lengths, instances):
        torch.testing.assert_close(z[0], x[:n].mean(0))


def test_every_frame_is_an_instance():
    frames, lengths = frames_and_lengths()
    instances, exists = FrameToInstance()(frames, lengths)
    assert instances is frames
    assert exists.sum(1).tolist() == lengths.tolist()
    assert torch.equal(exists, exists.sort(1, descending=True)[0])


def test_a_window_per_frame_is_the_frame():
    frames, lengths = frames_and_lengths()
    instances, exists = WindowToInstance(26)(frames, lengths)
    assert torch.equal(exists, FrameToInstance()(frames, lengths)[1])
    torch.testing.assert_close(instances[exists], frames[exists])


def test_half_precision_stays():
    frames, lengths = frames_and_lengths()
    assert WindowToInstance(5)(frames.half(), lengths)[0].dtype == torch.half


@pytest.mark.parametrize('num_windows', [0, 2.5])
def test_wrong_number_of_windows(num_windows):
    with pytest.raises(ValueError, match='num_windows'):
        MODELS.build(dict(type='mmocr_da.WindowToInstance', num_windows=num_windows))
