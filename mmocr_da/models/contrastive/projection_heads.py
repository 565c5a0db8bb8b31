"""Projection heads of SeqCLR (section 4); they are thrown away after the pre-training."""

from mmocr.models.textrecog.layers.lstm_layer import BidirectionalLSTM
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mmocr_da.arguments import check_count
from mmocr_da.device import on_device
from mmocr_da.registry import MODELS


@MODELS.register_module()
class MLPProjection(nn.Module):
    """Two linear layers with a ReLU between them, on each frame by itself.

    Shape: frames ``(N, T, in_channels)``, lengths ``(N,)`` -> ``(N, T, out_channels)``.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int = 256, out_channels: int = 256
    ) -> None:
        super().__init__()
        _check_widths(in_channels, hidden_channels, out_channels)
        self.in_channels = in_channels
        self.layers = nn.Sequential(
            nn.Linear(in_channels, hidden_channels),
            nn.ReLU(inplace=True),
            nn.Linear(hidden_channels, out_channels),
        )

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        return self.layers(frames)


@MODELS.register_module()
class BiLSTMProjection(BidirectionalLSTM):
    """MMOCR's bidirectional LSTM with a linear layer; it ends where an image's padding begins.

    Shape: frames ``(N, T, in_channels)``, lengths ``(N,)`` -> ``(N, T, out_channels)``.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int = 256, out_channels: int = 256
    ) -> None:
        _check_widths(in_channels, hidden_channels, out_channels)
        super().__init__(in_channels, hidden_channels, out_channels)
        self.in_channels = in_channels

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        # In the order that packing needs; torch's own sorting makes the host wait for the device.
        lengths, order = lengths.cpu().sort(descending=True)
        there, back = (on_device(x, frames.device) for x in (order, order.argsort()))
        packed = pack_padded_sequence(frames.index_select(0, there), lengths, batch_first=True)
        hidden, _ = pad_packed_sequence(
            self.rnn(packed)[0], batch_first=True, total_length=frames.size(1)
        )
        return self.embedding(hidden.index_select(0, back))


def _check_widths(in_channels: int, hidden_channels: int, out_channels: int) -> None:
    check_count('in_channels', in_channels)
    check_count('hidden_channels', hidden_channels)
    check_count('out_channels', out_channels)
