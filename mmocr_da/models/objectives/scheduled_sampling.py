"""Scheduled sampling (Bengio, Vinyals, Jaitly & Shazeer, NeurIPS 2015)."""

import math

from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from torch import Tensor

from mmocr_da.arguments import check_choice, check_number, warn_unused
from mmocr_da.registry import MODELS

from ..decoders.adapters import adapter_of
from ..schedules import current_iteration
from .domain_features import DomainFeatures
from .objective import Objective
from .optimal_completion import DRAWS

DECAYS = ('linear', 'exponential', 'inverse_sigmoid')


@MODELS.register_module()
class ScheduledSampling(Objective):
    """The decoder's own loss, when it is fed its own characters instead of some of the labels.

    In testing a decoder is fed what it has predicted, in training the label. Here each step is fed
    the label with the probability epsilon, which falls over the training, and otherwise the class
    that was predicted at the step before. It looks at the labelled images alone. It replaces the
    supervised loss: set ``supervised_weight=0``.

    Recurrent decoders are fed step by step. Transformers pass twice in parallel: the first pass is
    fed the labels, the second one is fed classes of the first instead of some labels (Mihaylova &
    Martins, 2019). Decoders that are not fed characters (CTC, ABINet) are refused.

    The log shows ``label_probability``, epsilon.

    Args:
        weight: Weight of the loss.
        decay: How epsilon depends on the iteration i: ``'linear'``, ``k - c i``;
            ``'exponential'``, ``k^i``; ``'inverse_sigmoid'``, ``k / (k + exp(i / k))``.
        k: Of the decay. 1 by default for ``'linear'``. Below 1 for ``'exponential'``, such as
            0.999, and at least 1 for ``'inverse_sigmoid'``: 300 gives 0.5 after 1,700 iterations.
        c: Slope of ``'linear'``. By default epsilon is ``least`` at the end of the training.
        least: Epsilon does not fall below it.
        own: ``'sample'``, the own class is drawn from the prediction; ``'greedy'``, it is the most
            probable one.

    Raises:
        ValueError: If an option is out of range.
    """

    name = 'scheduled_sampling'
    needs_target = False

    def __init__(
        self,
        weight: float = 1.0,
        decay: str = 'linear',
        k: float | None = None,
        c: float | None = None,
        least: float = 0.0,
        own: str = 'sample',
    ) -> None:
        super().__init__()
        check_number('weight', weight, above=0)
        check_choice('decay', decay, DECAYS)
        check_choice('own', own, DRAWS)
        check_number('least', least, least=0, most=1)
        k = 1.0 if k is None and decay == 'linear' else k
        why = f'it is that of decay={decay!r}'
        if decay == 'inverse_sigmoid':
            check_number('k', k, least=1, why=why)
        elif decay == 'exponential':
            check_number('k', k, above=0, below=1, why=why)
        else:
            check_number('k', k, above=0, why=why)
        if c is not None:
            check_number('c', c, least=0)
            if decay != 'linear':
                warn_unused('c', c, f'decay={decay!r} has no slope')
        assert k is not None
        self.weight = weight
        self.decay = decay
        self.k = float(k)
        self.c = c
        self.least = least
        self.own = own

    def attach(self, recognizer: EncoderDecoderRecognizer) -> None:
        """Check that the decoder is fed its own prediction."""
        adapter_of(recognizer.decoder).check_feeding('ScheduledSampling')

    def label_probability(self, iteration: int, total: int) -> float:
        """Return epsilon at an iteration of a training of ``total`` iterations.

        >>> objective = ScheduledSampling(least=0.5)
        >>> [objective.label_probability(i, 100) for i in (0, 50, 100)]
        [1.0, 0.75, 0.5]
        """
        k = self.k
        if self.decay == 'linear':
            c = (k - self.least) / total if self.c is None else self.c
            epsilon = k - c * iteration
        elif self.decay == 'exponential':
            epsilon = k**iteration
        else:
            epsilon = 1 / (1 + math.exp(min(iteration / k - math.log(k), 700)))
        return min(max(epsilon, self.least), 1.0)

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> dict[str, Tensor]:
        """Compute the loss and log values."""
        epsilon = self.label_probability(*current_iteration())
        losses = source.mixed_loss(epsilon, DRAWS[self.own]())
        out = {key: self.weight * value for key, value in losses.items() if 'loss' in key}
        like = next(iter(out.values())).detach()
        return self.named({**out, 'label_probability': like.new_full((), epsilon)})
