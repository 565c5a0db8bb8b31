"""What ``AdaptiveRecognizer`` asks of an objective."""

from mmengine.model import BaseModule
from mmocr.models.textrecog.decoders.base import BaseDecoder
from torch import Tensor, nn

from .domain_features import DomainFeatures


class Objective(BaseModule):
    """Turns what a recognizer makes of source and target into losses and log values by name.

    One of your own sets what it needs and defines :meth:`forward`; the recognizer computes the rest
    only where an objective asks for it. Its parameters are trained with the recognizer and fall
    away at export.
    """

    #: Prefix of the names in the log; a model has one objective of each name.
    name = ''
    #: Whether it looks at single characters, ``DomainFeatures.characters``.
    needs_characters = False
    #: Whether an attention decoder must run to its last step for it.
    needs_all_steps = False
    #: Whether it looks at a free reading of the source, ``DomainFeatures.reading``.
    needs_reading = False
    #: Whether it looks at the target. If none does, images need no domain: all are the source.
    needs_target = True

    @property
    def holds_recognizer(self) -> bool:
        """Whether this iteration trains the objective alone, and the recognizer stands still.

        Then no other objective and no supervised loss is asked, unless it holds, too.
        """
        return False

    def attach(self, decoder: BaseDecoder, supervised_weight: float) -> None:
        """Get to know the recognizer; called once, before there is an optimizer."""

    def check(self, recognizer: nn.Module) -> None:
        """Raise a ValueError if it does not fit the whole recognizer; called after `attach`."""

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> dict[str, Tensor]:
        """Losses, whose names contain ``'loss'``, and log values."""
        raise NotImplementedError
