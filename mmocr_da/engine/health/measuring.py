"""Measures of the health of a model on held-out images, as numbers by name.

A name is ``<what>/<measure>``; ``<what>`` is an objective, ``source`` or ``target``.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmocr_da.evaluation.domain_distance import (
    balanced_accuracy,
    distance_of_accuracy,
    proxy_a_distance,
)
from mmocr_da.evaluation.functional import normalize, word_accuracy
from mmocr_da.models.detectors import AdaptiveTextDetector
from mmocr_da.models.freezing import evaluating
from mmocr_da.models.objectives.objective import DomainJudgement
from mmocr_da.rng import imgaug_restored, seeded

from .held_out import HeldOut

#: Images of a batch; scenes are one by one, since their sizes differ.
BATCH_SIZE = 64
#: Images of each domain that a probe needs.
MIN_IMAGES = 8

Scalars = dict[str, float]


class GateRates(NamedTuple):
    """What a gate lets pass.

    Attributes:
        domains: Share of the characters of each domain.
        classes: By predicted character of both domains, the share and the number of its characters.
    """

    domains: dict[str, float]
    classes: dict[str, tuple[float, int]]


class Pairs(NamedTuple):
    """Predictions and labels of held-out images, as a surrogate takes them."""

    z: Tensor
    y: Tensor


class Measured(NamedTuple):
    """Numbers by name, and what is compared with later ones or shown by itself."""

    scalars: Scalars
    gates: dict[str, GateRates]
    pairs: dict[str, Pairs]


@contextmanager
def unchanged(model: torch.nn.Module, seed: int) -> Iterator[None]:
    """Keep modes and random numbers as they are; the model is in evaluation mode meanwhile."""
    devices = sorted({p.device.index for p in model.parameters() if p.is_cuda})
    with imgaug_restored(), seeded(seed), torch.random.fork_rng(devices), evaluating(model):
        yield


def measure(model: Any, images: HeldOut) -> Measured:
    """Measure a model that is in evaluation mode; see :mod:`mmocr_da.engine.health.measuring`.

    All processes must call it, with the same images.
    """
    with torch.no_grad():
        seen = _Seen(model)
        for domain in ('source', 'target'):
            size = 1 if isinstance(model, AdaptiveTextDetector) else BATCH_SIZE
            for batch in images.batches(domain, size):
                seen.add(model, domain, batch)
        scalars: Scalars = {}
        for name, of_domains in seen.judged.items():
            scalars |= _prefixed(name, discriminator_scalars(*map(_joined, of_domains.values())))
        gates = {name: _gate_rates(model, found) for name, found in seen.gates.items()}
        for name, rates in gates.items():
            scalars |= {f'{name}/gate_{domain}': rate for domain, rate in rates.domains.items()}
        if not isinstance(model, AdaptiveTextDetector):
            scalars |= _prefixed('source', source_scalars(*_predict(model, images, 'source')[:2]))
            texts, _, scores = _predict(model, images, 'target')
            scalars |= _prefixed('target', target_scalars(texts, scores))
        pairs = {
            name: Pairs(*(torch.cat(part) for part in zip(*found)))
            for name, found in seen.pairs.items()
        }
        for name, pair in pairs.items():
            scalars |= _prefixed(name, surrogate_scalars(model.objectives[name].surrogate, pair))
    return Measured(scalars, gates, pairs)


class _Seen:
    """What the objectives make of the images so far."""

    def __init__(self, model: Any) -> None:
        self.judged: dict[str, dict[str, list[tuple[Tensor, Tensor]]]] = {}
        self.gates: dict[str, dict[str, list[Tensor]]] = {}
        self.pairs: dict[str, list[Pairs]] = defaultdict(list)
        self._objectives = dict(model.objectives.items())

    def add(self, model: Any, domain: str, batch: Any) -> None:
        """Run the model on images of one domain."""
        data = model.data_preprocessor(batch, False)
        _, features = model.observe(data['inputs'], data['data_samples'])
        if not features:
            return
        one = features[domain == 'target']
        for name, objective in self._objectives.items():
            if objective.judges_domains:
                found = self.judged.setdefault(name, dict(source=[], target=[]))
                found[domain].append(pooled(objective.judge_domains(one)))
            if domain in objective.gated_domains:
                self.gates.setdefault(name, dict(source=[], target=[]))[domain].append(
                    _classes(objective, one.characters)
                )
            if domain == 'source' and hasattr(objective, 'pairs'):
                self.pairs[name].append(Pairs(*(x.cpu() for x in objective.pairs(one))))


def pooled(judged: DomainJudgement) -> tuple[Tensor, Tensor]:
    """Average what was judged over the rows of each image, by their weights.

    Returns:
        Features ``(M, D)`` and logits ``(M,)`` of the images that have a row, on the CPU.
    """
    weights = judged.weights.float()
    total = weights.sum(1, keepdim=True)
    share = weights / total.clamp(min=1e-12)
    features = (judged.features.float() * share[..., None]).sum(1)
    logits = (judged.logits.float() * share).sum(1)
    counted = total[:, 0] > 0
    return features[counted].cpu(), logits[counted].cpu()


def _joined(found: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    if not found:
        return torch.zeros(0, 1), torch.zeros(0)
    features, logits = zip(*found)
    return torch.cat(features), torch.cat(logits)


def discriminator_scalars(source: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor]) -> Scalars:
    """Say how well an objective, and a fresh probe of its features, tell images apart.

    Args:
        source, target: Features ``(M, D)`` and logits ``(M,)`` of images.
    """
    own = balanced_accuracy(source[1], target[1])
    found = dict(domain_accuracy=own)
    if not math.isnan(own):
        found['a_distance'] = distance_of_accuracy(own)
    x = [features for features, _ in (source, target)]
    if min(map(len, x)) >= MIN_IMAGES and all(features.isfinite().all() for features in x):
        distance = proxy_a_distance(torch.cat(x), np.repeat([False, True], [*map(len, x)]))
        found |= dict(probe_accuracy=0.5 + distance / 4, probe_a_distance=distance)
    return _known(**found)


def _classes(objective: Any, characters: Any) -> Tensor:
    """Predicted class, and whether it passes the gate, of each character, ``(M, 2)``."""
    gate, mask = objective.gate(characters), characters.is_character
    logits = characters.logits
    if characters.blank is not None:  # a frame that the alignment gives to a character
        logits = logits.index_fill(-1, torch.tensor(characters.blank, device=logits.device), -1e9)
    return torch.stack([logits.argmax(-1)[mask], gate[mask].long()], 1).cpu()


def _gate_rates(model: Any, found: dict[str, list[Tensor]]) -> GateRates:
    by_domain = {
        domain: torch.cat(rows) if rows else torch.zeros(0, 2) for domain, rows in found.items()
    }
    domains = {
        domain: float(rows[:, 1].float().mean()) for domain, rows in by_domain.items() if len(rows)
    }
    rows = torch.cat([*by_domain.values()]).long()
    count = torch.bincount(rows[:, 0])
    passed = torch.bincount(rows[:, 0], rows[:, 1].double(), len(count))
    known = model.decoder.dictionary.dict
    classes = {
        known[i]: (float(passed[i] / count[i]), int(count[i]))
        for i in count.nonzero().flatten().tolist()
        if i < len(known)
    }
    return GateRates(domains, classes)


def _predict(
    model: Any, images: HeldOut, domain: str
) -> tuple[list[str], list[str], list[list[float]]]:
    """Texts, labels and scores of characters of the images of a domain, as in testing."""
    texts, labels, scores = [], [], []
    for batch in images.batches(domain, BATCH_SIZE):
        for sample in model.test_step(batch):
            texts.append(sample.pred_text.item)
            labels.append(getattr(sample.get('gt_text'), 'item', ''))
            scores.append(list(sample.pred_text.get('score', ())))
    return texts, labels, scores


def source_scalars(texts: Sequence[str], labels: Sequence[str]) -> Scalars:
    """Accuracy of the words of the source, without letter case.

    >>> source_scalars(['Ab', 'x'], ['ab', 'y'])
    {'word_accuracy': 0.5}
    """
    if not texts:
        return {}
    pair = ([normalize(text, ignore_case=True) for text in column] for column in (texts, labels))
    return dict(word_accuracy=word_accuracy(*pair))


def target_scalars(texts: Sequence[str], scores: Sequence[Sequence[float]]) -> Scalars:
    """Describe predictions without labels.

    Args:
        texts: Predictions.
        scores: The probability of each character of them.

    Returns:
        ``length``, characters per prediction; ``empty``, the share of empty predictions;
        ``distinct_words``; ``words``, the number of predictions that are not empty; and
        ``confidence``, the mean over them of the mean probability of a character.

    >>> found = target_scalars(['ab', '', 'ab', 'abcd'], [[1, 0.5], [], [1, 1], [0.5] * 4])
    >>> found['length'], found['empty'], found['distinct_words'], found['words']
    (2.0, 0.25, 2, 3)
    >>> found['confidence']
    0.75
    """
    if not texts:
        return {}
    words = [text for text in texts if text]
    return _known(
        length=float(np.mean([len(text) for text in texts])),
        empty=1 - len(words) / len(texts),
        distinct_words=len(set(words)),
        words=len(words),
        confidence=float(np.mean([float(np.mean(s)) for s in scores if len(s)] or [math.nan])),
    )


def surrogate_scalars(surrogate: Any, pairs: Pairs) -> Scalars:
    """Compare a surrogate with its metric on predictions of labelled images."""
    estimate, value = distances(surrogate, pairs)
    return dict(
        estimate=float(estimate.mean()),
        metric=float(value.mean()),
        error=float((estimate - value).abs().mean()),
    )


def surrogate_change(surrogate: Any, before: Pairs, now: Pairs) -> Scalars:
    """By how much predictions have become worse, to a surrogate and to its metric.

    The surrogate as it is now judges both, so that what it has learned since does not count.

    Returns:
        ``estimate_change`` and ``metric_change``, and their standard errors over the images,
        ``..._error``; nothing for less than two images.
    """
    changes = [b - a for a, b in zip(distances(surrogate, before), distances(surrogate, now))]
    out: Scalars = {}
    if len(changes[0]) < 2:
        return out
    for name, change in zip(('estimate', 'metric'), changes):
        out[f'{name}_change'] = float(change.mean())
        out[f'{name}_change_error'] = float(change.std()) / math.sqrt(len(change))
    return out


@torch.no_grad()
def distances(surrogate: Any, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """``e_hat`` and ``e`` of each image, ``(N,)`` each, on the CPU."""
    device = next(surrogate.parameters()).device
    z, y = (x.to(device) for x in pairs)
    return surrogate.distance(z, y).double().cpu(), surrogate.metric(z, y).double().cpu()


def _known(**scalars: float) -> Scalars:
    """Numbers without NaN, which means that there is nothing to measure."""
    return {name: value for name, value in scalars.items() if not math.isnan(value)}


def _prefixed(what: str, scalars: Scalars) -> Scalars:
    return {f'{what}/{name}': value for name, value in scalars.items()}
