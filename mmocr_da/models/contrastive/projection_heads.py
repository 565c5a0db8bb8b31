"""Projection heads of SeqCLR (section 4), which are dropped after the pretraining."""

from mmocr.models.textrecog.layers.lstm_layer import BidirectionalLSTM
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mmocr_da.arguments import check_count
from mmocr_da.device import on_device
from mmocr_da.registry import MODELS


@MODELS.register_module()
class MLPProjection(nn.Module):
    """Two linear layers with a ReLU between them, applied to each frame.

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
    """MMOCR's bidirectional LSTM with a linear layer; it skips the padding of each image.

    Shape: frames ``(N, T, in_channels)``, lengths ``(N,)`` -> ``(N, T, out_channels)``.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int = 256, out_channels: int = 256
    ) -> None:
        _check_widths(in_channels, hidden_channels, out_channels)
        super().__init__(in_channels, hidden_channels, out_channels)
        self.in_channels = in_channels

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        # Packing needs descending lengths; torch's own sorting makes the host wait for the device.
        lengths, order = lengths.cpu().sort(descending=True)
        by_length, back = (on_device(x, frames.device) for x in (order, order.argsort()))
        packed = pack_padded_sequence(frames.index_select(0, by_length), lengths, batch_first=True)
        hidden, _ = pad_packed_sequence(
            self.rnn(packed)[0], batch_first=True, total_length=frames.size(1)
        )
        return self.embedding(hidden.index_select(0, back))


def _check_widths(in_channels: int, hidden_channels: int, out_channels: int) -> None:
    check_count('in_channels', in_channels)
    check_count('hidden_channels', hidden_channels)
    check_count('out_channels', out_channels)
