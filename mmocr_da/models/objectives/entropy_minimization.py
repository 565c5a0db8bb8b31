"""Entropy minimization (Grandvalet & Bengio, 2005) on the characters of the target."""

from torch import Tensor

from mmocr_da.arguments import check_number, warn_unused
from mmocr_da.device import marked, on_host
from mmocr_da.registry import MODELS

from ..decoders.classifier import classify, without_class
from ..distributed import mean_over_ranks
from ..schedules import Schedule
from .domain_features import DomainFeatures
from .objective import Objective


@MODELS.register_module()
class EntropyMinimization(Objective):
    """Makes the recognizer confident on the target's characters: "Adding Em" in table 4 of SymNets.

    The loss is the mean entropy of the predictions, ``-sum_k p_k log p_k`` in nats, over characters
    and end tokens. It trains only the features: the final classifier gets no gradient, as in
    SymNets, section 3.2.1. For a CTC decoder, the blank class is left out of the probabilities.

    Args:
        weight: lambda, or the height of its schedule.
        schedule: see :class:`~mmocr_da.models.schedules.Schedule`.
    """

    name = 'entropy'
    needs_characters = True
    needs_source = False

    def __init__(self, weight: float = 1.0, schedule: str = 'rising') -> None:
        super().__init__()
        check_number('weight', weight, least=0)
        if weight == 0:
            warn_unused('weight', weight, 'EntropyMinimization trains nothing, it is only logged')
        self.schedule = Schedule(schedule, weight)

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> dict[str, Tensor]:
        """Compute ``loss_entropy`` and log values."""
        weight = self.schedule.now()
        characters = target.characters
        (comparable,) = on_host(characters.comparable)
        hidden = marked(characters.hidden, comparable)
        logits = classify(hidden, characters.classifier, detach=True)
        log_p = without_class(logits, characters.blank).log_softmax(-1)
        entropy = mean_over_ranks(-(log_p.exp() * log_p).sum(-1))
        return {
            f'loss_{self.name}': weight * entropy,
            f'{self.name}_target': entropy.detach(),
            f'{self.name}_lambda': entropy.new_full((), weight),
        }
