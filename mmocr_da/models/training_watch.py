"""Watches a training for silent faults: a missing domain, an objective without a gradient."""

import logging
from collections.abc import Container, Mapping, Sequence

from mmengine.logging import MessageHub, print_log
from torch import Tensor, nn

from mmocr_da.domains import missing_domain

#: Number of batches at the beginning that may lack a domain, as small batches can.
PATIENCE = 50


def may_warn(fault: str, by: str) -> bool:
    """Whether a watch is to warn of a fault, which several may find.

    The first one that finds it in a run warns of it, now and later; the others are silent.

    Args:
        fault: Name of the fault.
        by: The watch that has found it.
    """
    hub = MessageHub.get_current_instance()
    known = hub.get_info('warned_by') if 'warned_by' in hub.runtime_info else {}
    speakers: dict[str, str] = {fault: by, **known}
    # A resumed run may have other watches.
    hub.update_info('warned_by', speakers, resumed=False)
    return speakers[fault] == by


class DomainWatch:
    """Raises an error if none of the first ``PATIENCE`` batches has an image of a domain.

    Args:
        needed: The domains that the training needs, ``'source'``, ``'target'`` or both, and what
            needs each.
    """

    def __init__(self, needed: Mapping[str, Sequence[str]]) -> None:
        self._needed = needed
        self._missing = dict.fromkeys(needed, 0)

    def see(self, is_source: Sequence[bool]) -> None:
        """Record the domains of a batch.

        Raises:
            ValueError: If a domain is missing in all of the first ``PATIENCE`` batches.
        """
        for domain in list(self._missing):
            if (domain == 'source') in is_source:
                del self._missing[domain]
                continue
            self._missing[domain] += 1
            if self._missing[domain] == PATIENCE:
                raise ValueError(
                    missing_domain(
                        domain,
                        self._needed[domain],
                        f'and none of the first {PATIENCE} batches has one',
                    )
                )


class GradientWatch:
    """Warns if an objective's losses give no gradient to trained parameters of a recognizer."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def see(self, name: str, losses: dict[str, Tensor], recognizer: nn.Module) -> None:
        """Check the losses of an objective once."""
        found = [v for k, v in losses.items() if 'loss' in k]
        if name in self._seen or not found:
            return
        self._seen.add(name)
        trained = {
            id(p)
            for k, p in recognizer.named_parameters()
            if p.requires_grad and not k.startswith('objectives.')
        }
        if not any(reaches(loss, trained) for loss in found):
            print_log(
                f'the objective {name!r} does NOT train the recognizer: no gradient of its losses '
                'arrives at a parameter that is trained. Everything before the features that it '
                'looks at is frozen (FreezeHook, frozen_stages)',
                logger='current',
                level=logging.WARNING,
            )


def reaches(loss: Tensor, parameters: Container[int]) -> bool:
    """Whether a backward pass of ``loss`` reaches a parameter, given by the set of their ``id``.

    >>> layer = nn.Linear(1, 1)
    >>> loss = layer(layer.bias.detach()).sum()
    >>> reaches(loss, {id(layer.weight)}), reaches(loss, {id(nn.Linear(1, 1).weight)})
    (True, False)
    """
    visited, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        if id(getattr(node, 'variable', None)) in parameters:
            return True
        waiting += [parent for parent, _ in node.next_functions]
    return False
