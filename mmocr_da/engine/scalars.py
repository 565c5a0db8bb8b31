"""Reads the scalars that runs have logged."""

import json
import os.path as osp
from collections import defaultdict
from collections.abc import Sequence
from glob import glob
from typing import Any

#: ``{name: {step: value}}``.
Curves = dict[str, dict[int, float]]


def read_scalars(run: str) -> Curves:
    """Return ``{name: {step: value}}`` of a work directory, or of one ``scalars.json``.

    A work directory has one file per start of the run. Values of a resumed run replace the earlier
    ones from its first step on.

    Raises:
        ValueError: If there is no such file.
    """
    files = [run] if osp.isfile(run) else sorted(glob(osp.join(run, '*/vis_data/scalars.json')))
    if not files:
        raise ValueError(f'a run must be a work directory with */vis_data/scalars.json, got {run}')
    curves: Curves = defaultdict(dict)
    for file in files:
        rows = _read_rows(file)
        trained = [row['step'] for row in rows if 'lr' in row or 'loss' in row]
        if not trained:  # only a validation, which always logs step 0
            continue
        for values in curves.values():
            for step in [step for step in values if step >= min(trained)]:
                del values[step]
        for row in rows:
            for name, value in row.items():
                if isinstance(value, (int, float)):
                    curves[name][row['step']] = value
    return curves


def mean_scalars(runs: Sequence[str]) -> Curves:
    """Return the mean of several runs, at the steps that all of them have."""
    curves = [read_scalars(run) for run in runs]
    means = {}
    for name in set.intersection(*map(set, curves)):
        steps = set.intersection(*(set(c[name]) for c in curves))
        means[name] = {step: sum(c[name][step] for c in curves) / len(curves) for step in steps}
    return means


def _read_rows(file: str) -> list[dict[str, Any]]:
    rows = []
    with open(file, encoding='utf-8') as f:
        for line in f:
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:  # an incomplete line: the run was killed or is writing it
                continue
    return rows
