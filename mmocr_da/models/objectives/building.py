"""Builds the list of objectives of a model, and adds up what they return."""

from collections.abc import Iterable, Sequence
from typing import Any

from mmengine.model import ModuleDict
from torch import Tensor

from mmocr_da.registry import MODELS
from mmocr_da.renamed import check_objective

from .objective import Objective

#: Objectives by the kind of model that they adapt, for messages.
EXAMPLES = dict(
    recognizer='GlobalAlignment or SelfTraining', detector='ImageAlignment or DetectorSelfTraining'
)


def build_objectives(
    objectives: Sequence[dict[str, Any]], supervised_weight: float, adapts: str = 'recognizer'
) -> tuple[ModuleDict, list[str]]:
    """Build objectives from their configs.

    Args:
        objectives: Their configs.
        supervised_weight: Weight of the supervised loss beside them.
        adapts: What the model is, ``'recognizer'`` or ``'detector'``.

    Returns:
        The objectives by name, sorted, so that another order in the config changes neither the keys
        of a checkpoint nor the order of the parameters, which an optimizer's state depends on; and
        the names in the order of the config.

    Raises:
        ValueError: If one is for another kind of model, if names cannot be used, or if there is
            nothing to train.
    """
    built = [MODELS.build(cfg) for cfg in objectives]
    for objective in built:
        check_objective(objective)
        kind = getattr(objective, 'adapts', 'recognizer')
        if kind != adapts:
            raise ValueError(
                f'a {adapts} needs objectives of {adapts}s, such as {EXAMPLES[adapts]}, got '
                f'{type(objective).__name__}, which is one of {kind}s'
            )
    names = [o.name for o in built]
    if any(not name or '.' in name or 'loss' in name for name in names):
        raise ValueError(
            f"each objective needs a name without a dot and without 'loss' (MMEngine adds up "
            f'all values with it in their name), got {names}; it is an attribute of its class'
        )
    if len(set(names)) < len(names):
        raise ValueError(
            f'objectives must be of different kinds, got {names}: their losses '
            'would overwrite each other in the log'
        )
    if not built and supervised_weight == 0:
        raise ValueError(
            'supervised_weight=0 without objectives leaves nothing to train, got '
            'objectives=[]; add one, or set supervised_weight=1'
        )
    return ModuleDict(sorted(zip(names, built), key=lambda pair: pair[0])), names


def domains_needed(
    objectives: Iterable[Objective], supervised_weight: float
) -> dict[str, list[str]]:
    """Return the domains that a training needs, and the settings and objectives that need each."""
    needed = dict(
        source=[f'supervised_weight={supervised_weight:g}'] if supervised_weight else [],
        target=list[str](),
    )
    for objective in objectives:
        for domain, names in needed.items():
            if getattr(objective, f'needs_{domain}'):
                names.append(f'the objective {objective.name!r}')
    return {domain: names for domain, names in needed.items() if names}


def add_values(losses: dict[str, Any], values: dict[str, Tensor], name: str) -> None:
    """Add the losses and log values of an objective to those of a step.

    Raises:
        ValueError: If a value has the name of another one, which it would replace.
    """
    if repeated := sorted(losses.keys() & values.keys()):
        raise ValueError(
            f'values need names that no other has, got {repeated} again from the objective '
            f'{name!r}; return self.named(values), which puts its name into them'
        )
    losses.update(values)
