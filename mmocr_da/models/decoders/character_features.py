"""The tap: per-character features of a decoder, for both domains in one pass.

Everything a sequence method needs to know about a decoder is the table ``_TAPS`` at the end of this
file: one function per decoder class.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from mmocr.models.textrecog.decoders import ASTERDecoder, CRNNDecoder, SVTRDecoder
from mmocr.models.textrecog.decoders.base import BaseDecoder
from mmocr.models.textrecog.module_losses import CTCModuleLoss
from mmocr.structures import TextRecogDataSample
from torch import Tensor, nn

from mmocr_da.device import on_device

from .attention_decoder import AttentionDecoder, attend
from .character_decoder import CharacterDecoder
from .ctc_alignment import best_alignment


@dataclass
class CharacterFeatures:
    """What a decoder knows about each step of ``N`` images.

    A step is a character of an attention decoder, a frame of a CTC decoder.

    Shape: ``features (N, T, D)``, ``logits (N, T, K)``, ``hidden (N, T, H)``, the input of the
    final ``classifier``, whose output the logits are; ``valid`` and ``answered`` ``(N, T)`` bool;
    ``targets (N, T)``.

    ``valid`` marks steps that are a character: before the end token, neither start token, padding
    nor blank; ``answered`` all steps that the decoder has to say something about, that is the end
    token and blank frames, too. They come from the label where there is one and from the reading
    where there is none. ``targets`` are the classes of the answered steps of labelled images.
    ``blank`` is that class of a CTC decoder.
    """

    features: Tensor
    logits: Tensor
    valid: Tensor
    answered: Tensor | None = None
    targets: Tensor | None = None
    hidden: Tensor | None = None
    classifier: nn.Module | None = None
    blank: int | None = None

    @property
    def compared(self) -> Tensor:
        """Steps at which domains can be compared: characters and end tokens, ``(N, T)`` bool.

        Of blank frames there are as many as the images are wide.
        """
        return self.answered if self.blank is None else self.valid

    def of_images(self, index: Tensor) -> 'CharacterFeatures':
        """Those of some images."""
        return CharacterFeatures(
            **{
                f.name: x[index] if isinstance(x, Tensor) else x
                for f in fields(self)
                for x in (getattr(self, f.name),)
            }
        )

    def confident(self, threshold: float) -> Tensor:
        """Steps that are read with a probability above ``threshold``, ``(N, T)`` bool."""
        return torch.softmax(self.logits.detach().float(), -1).amax(-1) > threshold


class CharacterTap:
    """Reads labelled rows by their labels and unlabelled rows freely, in one pass.

    An attention decoder forces the labelled rows. The two kinds of rows share every step, so that
    ``B + B`` images cost what ``2B`` labelled ones do; the loop ends when every label is spent and
    every free reading has ended. Of a CTC decoder, the characters of a labelled row are the frames
    of the best alignment, and those of an unlabelled one the frames that it does not read as blank.

    Args:
        decoder: A decoder of :func:`supported_decoders`.
        hook_point: Which vector of a step is its feature: ``'context'``, the attention-weighted
            sum ``c_k`` (eq. 2 of ASSDA), or ``'hidden'``, the input of the final classifier. They
            are the same where there is no attention.
    """

    def __init__(self, decoder: BaseDecoder, hook_point: str = 'context') -> None:
        if hook_point not in ('context', 'hidden'):
            raise ValueError(f"hook_point must be 'context' or 'hidden', got {hook_point!r}")
        if not self.fits(decoder):
            raise ValueError(
                f'characters of {type(decoder).__name__} cannot be aligned: objectives of single '
                f'characters work with {", ".join(supported_decoders())}, whose module_loss must '
                'be a CEModuleLoss with ignore_first_char=True for attention and a CTCModuleLoss '
                'for CTC; GlobalAlignment works with all decoders'
            )
        self.hook_point = hook_point
        #: Whether there may be fewer steps than the decoder's loss wants, see `pad_steps`.
        self.stops_early = _entry(decoder).read is _steps

    @staticmethod
    def fits(decoder: BaseDecoder) -> bool:
        """Whether the table knows the decoder, and its loss says which step is which character."""
        entry = _entry(decoder)
        return entry is not None and entry.fits(decoder)

    def width(self, decoder: BaseDecoder) -> int:
        """D, the width of the features."""
        if self.hook_point == 'context' and self.stops_early:  # there is attention
            return decoder.proj_feat.in_features
        return decoder.get_submodule(classifier_path(decoder)).weight.size(1)

    def __call__(
        self,
        decoder: BaseDecoder,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        all_steps: bool = False,
    ) -> CharacterFeatures:
        """Of all rows; ``targets`` mean nothing in rows of the target.

        Args:
            samples: One per image, those of the source after ``module_loss.get_targets``.
            all_steps: Run an attention decoder to its last step.
        """
        classifier = decoder.get_submodule(classifier_path(decoder))
        inputs: list[Tensor] = []
        handle = classifier.register_forward_pre_hook(lambda _, x: inputs.append(x[0]))
        try:
            out = _entry(decoder).read(decoder, feature_map, sequence, samples, all_steps)
        finally:
            handle.remove()
        out.classifier = classifier
        out.hidden = _as_steps(inputs, out.logits)
        if out.features is None or self.hook_point == 'hidden':
            out.features = out.hidden
        return out


def _as_steps(inputs: list[Tensor], logits: Tensor) -> Tensor:
    """What the classifier was given, ``(N, T, H)``."""
    if len(inputs) > 1:
        return torch.stack(inputs, 1)  # step by step
    x = inputs[0]
    if x.dim() == 4:  # a convolution over (N, H, 1, T)
        return x.squeeze(2).transpose(1, 2)
    if x.dim() == 2:  # MMOCR's BidirectionalLSTM, (T * N, H), or a single step
        return x.view(logits.size(1), logits.size(0), -1).transpose(0, 1)
    return x


def shown_steps(ratio: Tensor, count: int) -> Tensor:
    """How many of ``count`` columns show image if a share of the width does, ``(N,)``; 1 at least.

    >>> shown_steps(torch.tensor([0.0, 0.4, 0.5, 1.0]), 5)
    tensor([1, 2, 3, 5])
    """
    # 0.4 * 5 in floating point must not become a third column.
    return (ratio * count - 1e-4).ceil().clamp(1, count).long()


def is_labelled(sample: TextRecogDataSample) -> bool:
    return sample.get('domain') != 'target'


def classifier_path(decoder: BaseDecoder) -> str:
    """Name of the final classifier, a linear layer or a convolution of size 1, in its decoder."""
    return _entry(decoder).classifier(decoder)


def classify(features: Tensor, classifier: nn.Module, detach: bool = False) -> Tensor:
    """Logits ``(M, K)`` of ``(M, H)`` inputs of a final classifier, in float32 at least.

    With ``detach`` the classifier gets no gradient.
    """
    if features.dtype != torch.float64:
        features = features.float()
    weight, bias = classifier.weight.flatten(1), classifier.bias
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    if detach:
        weight, bias = weight.detach(), bias.detach()
    # Half precision would cost the differences of nearly equal logits.
    with torch.autocast(features.device.type, enabled=False):
        return F.linear(features, weight.to(features), bias.to(features))


def without_class(logits: Tensor, index: int | None) -> Tensor:
    """Logits ``(M, K - 1)`` of the other classes; all of them for None."""
    if index is None:
        return logits
    return torch.cat([logits[:, :index], logits[:, index + 1 :]], 1)


@contextmanager
def classifier_replaced(decoder: BaseDecoder, classifier: nn.Module) -> Iterator[None]:
    """Let a decoder read with another final classifier."""
    parent, _, name = classifier_path(decoder).rpartition('.')
    parent = decoder.get_submodule(parent)
    own = getattr(parent, name)
    setattr(parent, name, classifier)
    try:
        yield
    finally:
        setattr(parent, name, own)


def read_characters(decoder: BaseDecoder, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Steps of a free reading that are characters, and those with the first end token.

    ``(N, T, K) -> (N, T), (N, T)`` bool.
    """
    words = decoder.dictionary
    reading = logits.argmax(-1)
    is_end = reading == (-1 if words.end_idx is None else words.end_idx)
    ended = is_end.cumsum(1)
    characters = ended == 0
    for special in {words.start_idx, words.padding_idx} - {None, words.end_idx}:
        characters = characters & (reading != special)
    return characters, characters | (is_end & (ended == 1))


def pad_steps(logits: Tensor, steps: int) -> Tensor:
    """Logits ``(N, T, K)`` with zeros behind, so that there are ``steps`` of them.

    Only for steps that no loss looks at.
    """
    return F.pad(logits, (0, 0, 0, steps - logits.size(1)))


def supported_decoders() -> list[str]:
    """Names of the decoders whose characters can be tapped (and of their subclasses)."""
    return [c.__name__ for c in _TAPS]


def _steps(decoder, feature_map, sequence, samples, all_steps) -> CharacterFeatures:
    """Decoders that read one character at a time from a memory."""
    device = feature_map.device
    padding = decoder.module_loss.pad_idx
    unlabelled = torch.full((decoder.max_seq_len,), padding, device=device)
    tokens = F.pad(
        torch.stack(
            [
                on_device(s.gt_text.padded_indexes, device) if is_labelled(s) else unlabelled
                for s in samples
            ]
        ),
        (0, 1),
        value=padding,
    )
    # The last token of a text that fills max_seq_len is cut off.
    lengths = torch.tensor(
        [
            min(len(s.gt_text.indexes), decoder.max_seq_len - 1) if is_labelled(s) else 0
            for s in samples
        ]
    )
    # Steps behind the end token matter to the loss unless it ignores the padding.
    ignored = decoder.module_loss.ignore_index == padding
    steps = int(lengths.max()) + 1 if ignored and not all_steps else decoder.max_seq_len
    forced = torch.tensor([is_labelled(s) for s in samples])
    lengths, forced = (on_device(x, device) for x in (lengths, forced))
    contexts, logits = read_steps(decoder, feature_map, sequence, tokens, forced, steps, steps)
    targets = tokens[:, 1 : logits.size(1) + 1]
    position = torch.arange(logits.size(1), device=device)
    by_label = position < lengths[:, None]
    # The padding may be end tokens, too: only the first ends a text, unless that was cut off.
    is_end = (position == lengths[:, None]) & (position < decoder.max_seq_len - 1)
    labelled = by_label | (is_end & (targets == decoder.dictionary.end_idx))
    labelled = labelled & (targets != decoder.module_loss.ignore_index)
    valid, answered = (
        torch.where(forced[:, None], known, read)
        for known, read in zip((by_label, labelled), read_characters(decoder, logits))
    )
    return CharacterFeatures(contexts, logits, valid, answered, targets)


def read_steps(
    decoder, feature_map, sequence, tokens, forced, steps, expected
) -> tuple[Tensor, Tensor]:
    """Contexts ``(N, T, D)`` and logits ``(N, T, K)`` of a decoder in ``_steps``.

    ``forced (N,)`` rows are told ``tokens (N, T)``, others go by what they have read. The loop ends
    after ``steps``, once all other rows have ended. On a GPU the host would have to wait for each
    answer, so it asks once, after the ``expected`` number of steps, or else goes to the last one.
    """
    if isinstance(decoder, AttentionDecoder):
        memory, step = decoder.memory(feature_map, sequence), decoder.step
        state = decoder.initial_state(memory)
    else:
        memory = sequence
        state = memory.new_zeros(1, memory.size(0), decoder.hidden_size)

        def step(memory, projected, state, previous):
            return _aster_step(decoder, memory, projected, state, previous)

    projected = decoder.proj_feat(memory)
    previous = torch.full_like(tokens[:, 0], decoder.start_idx)
    ended = forced.clone()
    contexts, logits = [], []
    asking = range(steps, decoder.max_seq_len) if memory.device.type == 'cpu' else [expected]
    for k in range(decoder.max_seq_len):
        if k:
            reading = logits[-1].argmax(-1)
            ended = ended | (reading == decoder.dictionary.end_idx)
            if k in asking and bool(ended.all()):
                break
            previous = torch.where(forced, tokens[:, k], reading)
        scores, context, state = step(memory, projected, state, previous)
        contexts.append(context)
        logits.append(scores)
    return torch.stack(contexts, 1), torch.stack(logits, 1)


def _aster_step(
    decoder: ASTERDecoder, memory: Tensor, projected: Tensor, state: Tensor, previous: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """``ASTERDecoder._attention``, which computes the context and does not return it."""
    context = attend(decoder, memory, projected, state[0])
    step = torch.cat([decoder.embedding(previous), context], 1).unsqueeze(1)
    output, state = decoder.gru(step, state)
    return decoder.fc(output.squeeze(1)), context, state


def _frames(decoder, feature_map, sequence, samples, all_steps) -> CharacterFeatures:
    """CTC decoders: a class per frame, blank between characters."""
    logits = decoder.forward_train(feature_map, sequence)
    device, count = logits.device, logits.size(1)
    blank = decoder.dictionary.padding_idx
    ratio = torch.tensor([s.get('valid_ratio', 1) for s in samples], dtype=torch.float)
    texts = [
        s.gt_text.indexes.long() if is_labelled(s) else torch.empty(0, dtype=torch.long)
        for s in samples
    ]
    padded = nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=blank)
    padded, frames, lengths, forced = (
        on_device(x, device)
        for x in (
            padded,
            shown_steps(ratio, count),
            torch.tensor([len(text) for text in texts]),
            torch.tensor([is_labelled(s) for s in samples]),
        )
    )
    targets = best_alignment(logits.detach(), padded, frames, lengths, blank)
    answered = targets >= 0
    reading = torch.where(forced[:, None], targets, logits.argmax(-1))
    return CharacterFeatures(
        None, logits, answered & (reading != blank), answered, targets.clamp(min=0), blank=blank
    )


def _isolated(decoder, feature_map, sequence, samples, all_steps) -> CharacterFeatures:
    """One character per image."""
    logits = decoder.forward_train(feature_map, sequence, [s for s in samples if is_labelled(s)])
    targets = torch.tensor([[int(s.gt_text.indexes[0]) if is_labelled(s) else 0] for s in samples])
    known = torch.tensor([[is_labelled(s)] for s in samples])
    targets, known = (on_device(x, logits.device) for x in (targets, known))
    every = torch.ones_like(targets, dtype=torch.bool)
    ignored = known & (targets == decoder.module_loss.ignore_index)
    return CharacterFeatures(None, logits, every, ~ignored, targets)


@dataclass(frozen=True)
class _Entry:
    """How to read with a decoder, the name of its classifier, and whether its loss fits."""

    read: Callable[..., CharacterFeatures]
    classifier: Callable[[BaseDecoder], str]
    fits: Callable[[BaseDecoder], bool]


def _entry(decoder: BaseDecoder) -> _Entry | None:
    return next((_TAPS[c] for c in type(decoder).__mro__ if c in _TAPS), None)


def _is_shifted(decoder: BaseDecoder) -> bool:
    """Step ``k`` predicts character ``k``: the start token is no target."""
    return getattr(decoder.module_loss, 'ignore_first_char', False)


def _is_ctc(decoder: BaseDecoder) -> bool:
    return isinstance(decoder.module_loss, CTCModuleLoss)


_TAPS: dict[type, _Entry] = {
    ASTERDecoder: _Entry(_steps, lambda d: 'fc', _is_shifted),
    AttentionDecoder: _Entry(_steps, lambda d: 'fc', _is_shifted),
    CRNNDecoder: _Entry(
        _frames, lambda d: 'decoder.1.embedding' if d.rnn_flag else 'decoder', _is_ctc
    ),
    SVTRDecoder: _Entry(_frames, lambda d: 'decoder', _is_ctc),
    CharacterDecoder: _Entry(_isolated, lambda d: 'fc', lambda d: d.module_loss is not None),
}
