"""The section about the config of a run: what it changes in the config that it builds on."""

import difflib
import inspect
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from mmocr_da.config_names import find_config
from mmocr_da.visualization.page import Diff, Paragraph, Section

#: Settings of a runner; others are helper variables of the config. Those of the machine and of
#: where the run writes to say nothing about it.
SETTINGS = {*inspect.signature(Runner.__init__).parameters} - {
    'self',
    'cfg',
    'work_dir',
    'launcher',
    'resume',
    'experiment_name',
}


def config_section(cfg: Config, name: str) -> Section:
    """Make the section.

    Args:
        cfg: The config that was trained, resolved.
        name: The file as the user wrote it, with its ``_base_``; or its name, if it is one of the
            configs of MMOCR or of this package.

    Raises:
        ValueError: If there is no such file, or if it builds on no other.
    """
    file = find_config(name)[0]
    bases = base_files(file)
    if not bases:
        raise ValueError(f'{file} builds on no other config (_base_)')
    lines = config_diff(_joined(bases), cfg)
    names = ', '.join(base.name for base in bases)
    added, removed = (sum(line[:1] == sign for line in lines) for sign in '+-')
    return Section(
        'Config',
        [
            Paragraph(
                f'What the run changes in {names}, on which its config builds, both with all that '
                'they inherit. Settings that come from the environment are those of today in the '
                'base.'
            ),
            Diff(f'{added} lines added, {removed} removed', lines)
            if lines
            else Paragraph('Nothing: the settings of the runner are the same.'),
        ],
    )


def base_files(file: str) -> list[Path]:
    """Return the files that a config names in ``_base_``."""
    found = Config._get_base_files(file)
    return [Path(Config._get_cfg_path(str(base), file)[0]) for base in found]


def _joined(bases: list[Path]) -> Config:
    if len(bases) == 1:
        return Config.fromfile(str(bases[0]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, 'bases.py')
        file.write_text(f'_base_ = {[str(base.resolve()) for base in bases]!r}\n')
        return Config.fromfile(str(file))


def settings_of(cfg: Config) -> dict[str, Any]:
    """Return the settings of a config that the runner takes."""
    return {key: cfg[key] for key in sorted(SETTINGS & cfg.keys())}


def config_diff(before: Config, after: Config) -> list[str]:
    """Return the unified diff of the settings that the runner takes.

    >>> config_diff(Config(dict(load_from='a', x=1)), Config(dict(load_from='b', x=2)))
    ['@@ -1 +1 @@', "-load_from = 'a'", "+load_from = 'b'"]
    """
    old, new = (Config(settings_of(cfg)).pretty_text.splitlines() for cfg in (before, after))
    return list(difflib.unified_diff(old, new, n=2, lineterm=''))[2:]


def flat(value: Any, name: str = '') -> Iterator[tuple[str, Any]]:
    """Yield single settings by their names, as ``--cfg-options`` takes them.

    >>> dict(flat(dict(model=dict(objectives=[dict(weight=0.5)]))))
    {'model.objectives.0.weight': 0.5}
    """
    inner: Mapping[Any, Any] = {}
    if isinstance(value, Mapping):
        inner = value
    elif isinstance(value, (list, tuple)) and any(isinstance(x, Mapping) for x in value):
        inner = dict(enumerate(value))
    if not inner:
        yield name, value
    for key, part in inner.items():
        yield from flat(part, f'{name}.{key}' if name else str(key))
