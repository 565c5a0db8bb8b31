"""What the log says: a short report of measures, and warnings of faults."""

import re
from collections.abc import Iterator, Mapping, Sequence

from .measuring import GateRates, Measured

#: Classes of a gate that are shown at either end, and characters that a shown one has at least.
SHOWN, MIN_CHARACTERS = 3, 5


def warning(message: str, iteration: int) -> str:
    """Write the warning of a fault that was found at an iteration.

    >>> is_warning(warning('The gate is empty.', 40)), is_warning('The gate is empty.')
    (True, False)
    """
    return f'At iteration {iteration}: {message}'


def is_warning(line: str) -> bool:
    """Whether a warning of a log is one of a fault, see :func:`warning`."""
    return re.match(r'At iteration \d+: ', line) is not None


def report(measured: Measured, first: Mapping[str, float], objectives: Sequence[str]) -> list[str]:
    """Write a line for each objective, and one for the predictions of each domain.

    Args:
        measured: The measures.
        first: The first measures; what is compared with the start is shown with it.
        objectives: Names of the objectives.
    """
    lines = []
    scalars = measured.scalars
    for name in objectives:
        start = f'{name}/'
        own = {k[len(start) :]: v for k, v in scalars.items() if k.startswith(start)}
        parts = [*_of_objective(own), *_of_gate(measured.gates.get(name))]
        if parts:
            lines.append(f'{name}: {", ".join(parts)}')
    if 'target/length' in scalars:
        lines.append(f'target: {", ".join(_of_target(scalars, first))}')
    if (key := 'source/word_accuracy') in scalars:
        at_first = f' (first {first[key]:.3f})' if key in first else ''
        lines.append(f'source: word accuracy {scalars[key]:.3f}{at_first}')
    return lines


def _of_objective(own: Mapping[str, float]) -> Iterator[str]:
    if 'domain_accuracy' in own:
        yield f'tells domains apart with {own["domain_accuracy"]:.2f}'
    if 'probe_accuracy' in own:
        yield (
            f'a new probe with {own["probe_accuracy"]:.2f} (A-distance '
            f'{own["probe_a_distance"]:.2f})'
        )
    if 'gradient_ratio' in own:
        yield f'gradient {own["gradient_ratio"]:.2g} of the task'
    for key in ('kept', 'confidence', 'agreement', 'length', 'error', 'estimate', 'metric'):
        if key in own:
            yield f'{key} {own[key]:.3g}'
    if 'weight' in own:
        yield f'weight {own["weight"]:.3g}'


def _of_gate(rates: GateRates | None) -> Iterator[str]:
    if rates is None:
        return
    domains = ' and '.join(f'{rate:.0%} of the {name}' for name, rate in rates.domains.items())
    classes = sorted(
        (rate, char) for char, (rate, count) in rates.classes.items() if count >= MIN_CHARACTERS
    )
    ends = classes if len(classes) <= 2 * SHOWN else [*classes[:SHOWN], *classes[-SHOWN:]]
    shown = ' '.join(f'{char!r} {rate:.0%}' for rate, char in ends)
    yield f'the gate passes {domains or "no character"}' + f' ({shown})' * bool(shown)


def _of_target(scalars: Mapping[str, float], first: Mapping[str, float]) -> Iterator[str]:
    at_first = f' (first {first["target/length"]:.1f})' if 'target/length' in first else ''
    yield f'{scalars["target/length"]:.1f} characters{at_first}'
    yield f'{scalars["target/empty"]:.0%} empty'
    yield f'{scalars["target/distinct_words"]:.0f} different words of {scalars["target/words"]:.0f}'
    if 'target/confidence' in scalars:
        yield f'confidence {scalars["target/confidence"]:.2f}'
