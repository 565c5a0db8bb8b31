"""LS-ED as an objective: a learned edit distance (Patel et al., ECCV 2020, section 4.2)."""

from typing import Any

from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from torch import Tensor

from mmocr_da.arguments import check_config, check_number
from mmocr_da.device import on_device
from mmocr_da.registry import MODELS

from ..decoders.adapters import adapter_of
from ..distributed import mean_over_ranks
from ..surrogates import EditDistanceSurrogate
from .domain_features import DomainFeatures
from .objective import Objective


@MODELS.register_module()
class LSEDLoss(Objective):
    """The learned edit distance of a recognizer's predictions, as a loss.

    It is meant for post-tuning: start from a trained recognizer (``load_from``), with the
    recognizer's ``supervised_weight=0``, as in the paper, or mixed with the supervised loss. It
    looks at the labelled images alone, and decodes them as in testing. Iterations train either the
    surrogate or the recognizer, or with ``surrogate=dict(alternate=False)`` both, from one forward
    and one backward pass. An iteration of the surrogate alone changes nothing in the recognizer,
    not even its running statistics. In several processes DDP needs
    ``find_unused_parameters=True`` in the config if there are such iterations.

    Works with every decoder that has one step per character: attention and parallel ones. A CTC
    decoder is refused.

    The log shows ``error_model`` and ``error_generated``, the mean of ``|e_hat - e|`` on
    predictions and on generated pairs; ``loss_gradient``, the gradient term of eq. 6;
    ``rank_correlation`` of ``e_hat`` and ``e`` on both together; ``ted``, the true total edit
    distance of the batch.

    Args:
        weight: Weight of the mean of ``e_hat``.
        surrogate: Config of an :class:`EditDistanceSurrogate`; dictionary, length and letter case
            are filled in. ``type`` may name a subclass with another metric of texts.
    """

    name = 'lsed'
    needs_prediction = True
    needs_target = False

    def __init__(self, weight: float = 1.0, surrogate: dict[str, Any] | None = None) -> None:
        super().__init__()
        check_number('weight', weight, above=0)
        check_config('surrogate', surrogate)
        self.weight = weight
        self.surrogate_cfg = {'type': 'mmocr_da.EditDistanceSurrogate', **(surrogate or {})}

    def attach(self, recognizer: EncoderDecoderRecognizer) -> None:
        """Build the surrogate for a recognizer's dictionary and length."""
        decoder = recognizer.decoder
        adapter_of(decoder).check_greedy('LSEDLoss')
        letter_case = getattr(decoder.module_loss, 'letter_case', 'unchanged')
        self.surrogate: EditDistanceSurrogate = MODELS.build(
            {
                'letter_case': letter_case,
                **self.surrogate_cfg,
                'dictionary': decoder.dictionary,
                'max_length': decoder.max_seq_len,
            }
        )

    @property
    def freezes_recognizer(self) -> bool:
        return not self.surrogate.teaches

    def pairs(self, source: DomainFeatures) -> tuple[Tensor, Tensor]:
        """Return predictions and labels as the surrogate takes them, ``(N, L, K)`` each."""
        z = self.surrogate.encode_prediction(source.prediction.probabilities)
        return z, self.surrogate.encode(source.prediction.labels).to(z.dtype)

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> dict[str, Tensor]:
        """Compute the losses of the surrogate, of the recognizer or of both, and log values."""
        surrogate = self.surrogate
        z, y = self.pairs(source)
        if not surrogate.teaches:
            return self.named(surrogate.fit(z, y))
        e = surrogate.metric(z, y)
        out: dict[str, Tensor] = {}
        if surrogate.learns:  # the labels stay on the CPU, see fit
            out |= self.named(surrogate.fit(z, y, e=e))
        estimate = surrogate.frozen_distance(z, on_device(y, z.device))
        out |= {
            f'loss_{self.name}': self.weight * mean_over_ranks(estimate),
            f'{self.name}_ted': e.sum(),
        }
        if len(e):
            estimate = estimate.detach()
            out[f'{self.name}_estimated_ted'] = estimate.sum()
            out |= self.named(surrogate.observe(estimate, e))
        return out
