"""From measures to what is wrong: seven faults of an adaptation, each with cause and setting."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mmocr_da.models.objectives.gate_watch import empty_gate
from mmocr_da.models.objectives.prediction_watch import pseudo_label_fault
from mmocr_da.models.surrogates.quality import ADVICE, misleads

Scalars = Mapping[str, float]

#: Balanced accuracy up to which a discriminator has learned nothing, and from which it wins.
CHANCE, CERTAIN = 0.55, 0.95
#: Balanced accuracy of a fresh probe from which the domains can be told apart.
SEPARABLE = 0.8
#: Share of the task's gradient below which that of an adversary does nothing.
TINY = 0.01
#: By how much the proxy A-distance of a probe must be below that at the start.
CLOSING = 0.1
#: Share of its highest weight below which an objective is not judged.
JUDGED = 0.5
#: Different words among a teacher's predictions, as a share of them.
FEW_WORDS = 0.05
#: Batches without a label from which a teacher's rule is at fault.
PATIENCE = 100
#: Target predictions from which their variety counts.
MIN_WORDS = 30
#: By how much the confidence or the agreement may fall, the share of empty predictions rise, and
#: the length change (a part of that at the start).
FALL, EMPTIER, LONGER = 0.1, 0.3, 0.3
#: What may be left of the variety of predictions.
VARIETY = 1 / 3
#: By how much the accuracy of words of the source may fall.
FORGOTTEN = 0.1


class Finding(NamedTuple):
    """Something that is wrong.

    Attributes:
        fault: Which of the seven faults, in two words.
        key: Fault and subject, the same as in warnings of a training step.
        message: Cause, and the setting to change.
    """

    fault: str
    key: str
    message: str


def diagnose(history: Sequence[Scalars], about: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Find what is wrong with an adaptation.

    Args:
        history: Measures by name (:mod:`.measuring`): the first known of each, at the start if they
            were measured there; the ones before the last; and the last. Fewer of them say less.
        about: By objective its ``type``, and where it has them the ``threshold`` of its gate and
            the ``advice`` of its rule for pseudo-labels.

    >>> start, now = {'source/word_accuracy': 0.9}, {'source/word_accuracy': 0.7}
    >>> [finding.fault for finding in diagnose([start, now], {})]
    ['source forgotten']
    """
    now = history[-1]
    found: list[Finding] = []
    for name, facts in about.items():
        for rule in _OF_OBJECTIVES:
            found += rule(_of(name, history), name, facts)
    if len(history) > 1:
        found += _negative_transfer(history[0], now, about)
        found += _source_forgotten(history[0], now)
    return found


def _of(what: str, history: Sequence[Scalars]) -> list[dict[str, float]]:
    start = f'{what}/'
    return [
        {key[len(start) :]: value for key, value in scalars.items() if key.startswith(start)}
        for scalars in history
    ]


def _discriminator(
    history: Sequence[Scalars], name: str, facts: Mapping[str, Any]
) -> Iterator[Finding]:
    if len(history) < 3 or any('domain_accuracy' not in scalars for scalars in history[1:]):
        return  # at the start it has not learned yet
    first, now = history[0], history[-1]
    if all(_stalls(scalars) for scalars in history[1:]):
        yield Finding(
            'discriminator collapsed',
            f'collapsed/{name}',
            f'{facts["type"]} does not learn: its balanced accuracy on held-out images is '
            f'{now["domain_accuracy"]:.2f}, while a new logistic regression reaches '
            f'{now["probe_accuracy"]:.2f} on the same features. It does not keep up with the '
            'features, so its gradient says nothing: raise its learning rate (lr_mult of '
            "'objectives' in optim_wrapper.paramwise_cfg.custom_keys), or lower its weight",
        )
    if all(_wins(scalars) for scalars in history[1:]):
        ratio = now.get('gradient_ratio')
        if ratio is not None and ratio < TINY:
            what = f'and its gradient is {ratio:.1g} of that of the supervised loss'
        elif _open(first, now):
            what = (
                'and the gap of the domains does not close: the proxy A-distance of their features '
                f'is {now["probe_a_distance"]:.2f}, it was {first["probe_a_distance"]:.2f}'
            )
        else:
            return
        yield Finding(
            'discriminator dominates',
            f'dominates/{name}',
            f'{facts["type"]} wins: its balanced accuracy on held-out images is '
            f'{now["domain_accuracy"]:.2f}, {what}. The features cannot deceive it: raise its '
            f'weight ({now["weight"]:.2g} now), lower its learning rate (lr_mult of '
            "'objectives' in optim_wrapper.paramwise_cfg.custom_keys) or its hidden_channels; if "
            'both domains differ in something that is easy to see, such as brightness, augment '
            'both alike',
        )


def _stalls(scalars: Scalars) -> bool:
    return scalars['domain_accuracy'] <= CHANCE and scalars.get('probe_accuracy', 0.0) >= SEPARABLE


def _wins(scalars: Scalars) -> bool:
    weight, highest = scalars.get('weight', 0.0), scalars.get('highest_weight', 0.0)
    judged = weight > 0 and weight >= JUDGED * highest
    return judged and scalars['domain_accuracy'] >= CERTAIN


def _open(first: Scalars, now: Scalars) -> bool:
    key = 'probe_a_distance'
    return key in first and key in now and now[key] > first[key] - CLOSING


def _gate(history: Sequence[Scalars], name: str, facts: Mapping[str, Any]) -> Iterator[Finding]:
    for domain in ('source', 'target'):
        passed = [scalars.get(f'gate_{domain}') for scalars in history[-2:]]
        if len(passed) == 2 and not any(rate is None or rate for rate in passed):
            kind, threshold = facts['type'], facts['threshold']
            yield Finding(
                'gate empty',
                f'gate/{kind}/{domain}',
                empty_gate(kind, domain, threshold, 'among the held-out images'),
            )


def _pseudo_labels(
    history: Sequence[Scalars], name: str, facts: Mapping[str, Any]
) -> Iterator[Finding]:
    now = history[-1]
    if not {'kept', 'length', 'distinct_words', 'images'} <= now.keys():
        return
    only, images = None, now['images']
    if now['distinct_words'] <= max(1.0, FEW_WORDS * images) and images >= 8:
        only = (
            f'{now["distinct_words"]:.1f} different words for the {images:.0f} target images of a '
            'batch'
        )
    some = now['length'] > 0
    kept = now['kept'] > 0 or now.get('batches', 0) < PATIENCE
    if fault := pseudo_label_fault(some, only, kept, facts.get('advice', str)):
        yield Finding('pseudo-labels collapsed', 'pseudo-labels', f'{facts["type"]}: {fault}')


def _surrogate(
    history: Sequence[Scalars], name: str, facts: Mapping[str, Any]
) -> Iterator[Finding]:
    now = history[-1]
    keys = [f'{what}_change{end}' for what in ('estimate', 'metric') for end in ('', '_error')]
    if not all(key in now for key in keys) or not misleads(*(now[key] for key in keys)):
        return
    yield Finding(
        'surrogate deceived',
        'surrogate',
        f'The surrogate of {facts["type"]} misleads the model: by the true metric, predictions of '
        f'held-out source images are worse by {now["metric_change"]:.3g} than the best before, and '
        f'to it they changed by {now["estimate_change"]:+.3g} alone. {ADVICE}',
    )


_OF_OBJECTIVES: Sequence[
    Callable[[Sequence[Scalars], str, Mapping[str, Any]], Iterator[Finding]]
] = (_discriminator, _gate, _pseudo_labels, _surrogate)


def _negative_transfer(first: Scalars, now: Scalars, about: Mapping[str, Any]) -> Iterator[Finding]:
    signs, strong = _signs(first, now, about)
    if not strong and len(signs) < 2:
        return
    yield Finding(
        'negative transfer',
        'negative transfer',
        f'The adaptation harms the target, by signs that need no labels: {"; ".join(signs)}. Lower '
        'the weight of the objectives or the learning rate, keep an earlier checkpoint, or start '
        'from a better recognizer (load_from); the images of the target may hold too little that '
        'the source has',
    )


def _signs(first: Scalars, now: Scalars, about: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Signs of harm, and whether one of them is enough."""
    signs, strong = [], False
    emptier = _change(first, now, 'target/empty')
    if emptier >= EMPTIER:
        signs.append(f'{now["target/empty"]:.0%} of the predictions are empty')
        strong = True
    before, after = _variety(first), _variety(now)
    if before is not None and after is not None and after < VARIETY * before:
        signs.append(
            f'{now["target/distinct_words"]:.0f} different words in {now["target/words"]:.0f} '
            'predictions'
        )
        strong = True
    for key, what in [
        ('target/confidence', 'the confidence in characters'),
        *((f'{name}/agreement', 'the agreement of teacher and student') for name in about),
    ]:
        if _change(first, now, key) <= -FALL:
            signs.append(f'{what} fell from {first[key]:.2f} to {now[key]:.2f}')
    key = 'target/length'
    if abs(_change(first, now, key)) > max(1.0, LONGER * first.get(key, 0.0)):
        signs.append(f'predictions have {now[key]:.1f} characters, at first {first[key]:.1f}')
    return signs, strong


def _variety(scalars: Scalars) -> float | None:
    words, different = scalars.get('target/words', 0), scalars.get('target/distinct_words')
    return different / words if different is not None and words >= MIN_WORDS else None


def _change(first: Scalars, now: Scalars, key: str) -> float:
    return now[key] - first[key] if key in first and key in now else 0.0


def _source_forgotten(first: Scalars, now: Scalars) -> Iterator[Finding]:
    key = 'source/word_accuracy'
    if _change(first, now, key) < -FORGOTTEN:
        yield Finding(
            'source forgotten',
            key,
            f'The recognizer forgets the source: it predicts {now[key]:.0%} of its held-out words '
            f'rightly, at first {first[key]:.0%}. Lower the learning rate or the weight of the '
            'objectives, raise supervised_weight or the share of the source in a batch (ratio of '
            'TwoDomainSampler), or keep the weights near the start (mmocr_da.L2SP)',
        )
