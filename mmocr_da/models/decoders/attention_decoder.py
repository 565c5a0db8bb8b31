"""The attention decoder of ASSDA (Zhang et al., eq. 2 to 6)."""

from collections.abc import Sequence
from typing import Any

import torch
from mmocr.models.textrecog.decoders import ASTERDecoder
from mmocr.structures import TextRecogDataSample
from torch import Tensor, nn

from mmocr_da.arguments import check_count
from mmocr_da.registry import MODELS

# h_k for a GRU, (h_k, cell) for an LSTM; the hidden state always comes first.
State = Tensor | tuple[Tensor, Tensor]


@MODELS.register_module()
class AttentionDecoder(ASTERDecoder):
    """ASTER's additive attention with the recurrent cell and the read-out of ASSDA.

    Per step ``k``: the context ``c_k`` is the attention-weighted sum of the memory (eq. 2 to 4),
    the recurrent cell takes ``(h_{k-1}, y_{k-1}, c_k)`` (eq. 5), and the logits are
    ``W_o tanh(E y_{k-1} + W_d h_k + W_c c_k)`` (eq. 6).

    Arguments that MMOCR's ``ASTERDecoder`` also has keep their names and meaning.

    Args:
        cell: ``'gru'`` (eq. 5) or ``'lstm'`` (in the paper's text and its released code).
        readout: ``'deep'`` (eq. 6) or ``'hidden'``, ``W_o h_k``, as in the released code. The deep
            read-out adds in the embedding's space, so it is ``emb_dims`` wide.

    Shape: memory ``(N, L, in_channels)`` (or a feature map ``(N, in_channels, H, W)`` when there is
    no encoder), logits ``(N, max_seq_len, num_classes)``.
    """

    def __init__(
        self,
        in_channels: int,
        emb_dims: int = 256,
        attn_dims: int = 256,
        hidden_size: int = 256,
        cell: str = 'gru',
        readout: str = 'deep',
        **kwargs: Any,
    ) -> None:
        widths = dict(in_channels=in_channels, emb_dims=emb_dims)
        widths |= dict(attn_dims=attn_dims, hidden_size=hidden_size)
        for name, width in widths.items():
            check_count(name, width)
        if cell not in ('gru', 'lstm'):
            raise ValueError(f"cell must be 'gru' or 'lstm', got {cell!r}")
        if readout not in ('deep', 'hidden'):
            raise ValueError(f"readout must be 'deep' (eq. 6) or 'hidden', got {readout!r}")
        super().__init__(in_channels, emb_dims, attn_dims, hidden_size, **kwargs)
        del self.gru
        self.cell = cell
        self.readout = readout
        # ASTERDecoder sizes its embedding by attn_dims and so needs emb_dims == attn_dims.
        self.embedding = nn.Embedding(self.num_classes, emb_dims)
        recurrent = nn.GRUCell if cell == 'gru' else nn.LSTMCell
        self.recurrent = recurrent(in_channels + emb_dims, hidden_size)
        if readout == 'deep':
            self.readout_hidden = nn.Linear(hidden_size, emb_dims, bias=False)
            self.readout_context = nn.Linear(in_channels, emb_dims, bias=False)
            self.fc = nn.Linear(emb_dims, self.num_classes)

    def initial_state(self, memory: Tensor) -> State:
        """Return zeros of shape ``(N, hidden_size)``."""
        zeros = memory.new_zeros(memory.size(0), self.hidden_size)
        return zeros if self.cell == 'gru' else (zeros, zeros)

    def step(
        self, memory: Tensor, projected: Tensor, state: State, previous: Tensor
    ) -> tuple[Tensor, Tensor, State]:
        """Decode one character.

        ``projected`` is ``proj_feat(memory)``, which does not depend on the step.

        Returns:
            Logits ``(N, K)``, the context ``(N, in_channels)``, and the next state.
        """
        hidden = state if isinstance(state, Tensor) else state[0]
        context = attend(self, memory, projected, hidden)
        embedded = self.embedding(previous)
        state = self.recurrent(torch.cat([embedded, context], 1), state)
        hidden = state if isinstance(state, Tensor) else state[0]
        if self.readout == 'deep':
            hidden = torch.tanh(
                embedded + self.readout_hidden(hidden) + self.readout_context(context)
            )
        return self.fc(hidden), context, state

    def memory(self, feat: Tensor | None, out_enc: Tensor | None) -> Tensor:
        """Return the grid sequence ``[f_1, ..., f_L]`` of eq. 1, ``(N, L, in_channels)``."""
        memory = feat if out_enc is None else out_enc
        assert memory is not None
        return memory.flatten(2).transpose(1, 2) if memory.dim() == 4 else memory

    def forward_train(
        self,
        feat: Tensor | None = None,
        out_enc: Tensor | None = None,
        data_samples: Sequence[TextRecogDataSample] | None = None,
    ) -> Tensor:
        """Return logits under teacher forcing, ``(N, max_seq_len, K)``."""
        assert data_samples is not None
        memory = self.memory(feat, out_enc)
        tokens = torch.stack([s.gt_text.padded_indexes for s in data_samples]).to(memory.device)
        return self._run(memory, tokens)

    def forward_test(
        self,
        feat: Tensor | None = None,
        out_enc: Tensor | None = None,
        data_samples: Sequence[TextRecogDataSample] | None = None,
    ) -> Tensor:
        """Return probabilities of greedy decoding, ``(N, max_seq_len, K)``."""
        return self.softmax(self._run(self.memory(feat, out_enc)))

    def _run(self, memory: Tensor, tokens: Tensor | None = None) -> Tensor:
        projected = self.proj_feat(memory)
        state = self.initial_state(memory)
        previous = torch.full((memory.size(0),), self.start_idx, device=memory.device)
        logits: list[Tensor] = []
        for k in range(self.max_seq_len):
            if tokens is not None:
                previous = tokens[:, k]
            elif k:
                previous = logits[-1].argmax(-1)
            step, _, state = self.step(memory, projected, state, previous)
            logits.append(step)
        return torch.stack(logits, 1)


def attend(decoder: ASTERDecoder, memory: Tensor, projected: Tensor, hidden: Tensor) -> Tensor:
    """Compute the context vector ``c_k`` of eq. 2 to 4, ``(N, in_channels)``.

    ``hidden`` is ``h_{k-1}``, ``(N, hidden_size)``; ``projected`` is ``W_f f_i`` for all ``i``.
    """
    score = torch.tanh(projected + decoder.proj_hidden(hidden).unsqueeze(1))
    weight = torch.softmax(decoder.proj_sum(score).squeeze(-1), dim=1)
    return torch.bmm(weight.unsqueeze(1), memory).squeeze(1)
