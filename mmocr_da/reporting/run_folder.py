"""Reads what a training has left in its work directory: config, scalars, log, checkpoints."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mmengine.config import Config

from mmocr_da.engine.scalars import Curves, read_scalars

#: Folders and files that ``tools/adapt.py`` makes in its work directory.
TRAINING, EXPORTED, VIEWS = 'training', 'exported', 'views.png'
#: Warnings in a log that say nothing about the run.
NOISE = ('is the alias of', 'will be deprecated', 'Failed to search registry')
#: The message of a line in a log that warns, without its time.
WARNING = re.compile(r'^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d - \S+ - WARNING - (.*)')
ENTRY = re.compile(r'^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d - \S+ - [A-Z]+ - ')


@dataclass
class RunFolder:
    """What is in the work directory of a run.

    Args:
        path: The directory that the user names.
        training: The one with checkpoints and scalars; another one for ``tools/adapt.py``.
        cfg: The config that was trained, resolved; None if it is not there.
        curves: What was logged, by name and iteration.
        missing: What is not there, in sentences.
    """

    path: Path
    training: Path
    cfg: Config | None = None
    curves: Curves = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: str) -> 'RunFolder':
        """Read a work directory.

        Raises:
            ValueError: If it is none.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise ValueError(
                f'a run must be the work directory of a training, got {path}, no folder'
            )
        training = folder / TRAINING if (folder / TRAINING).is_dir() else folder
        run = cls(folder, training)
        starts = run._starts()
        run._read_config(starts)
        run._read_scalars()
        if not run.checkpoints:
            run.missing.append('There is no checkpoint (iter_*.pth, epoch_*.pth) yet.')
        return run

    def _starts(self) -> list[Path]:
        """Folders of the starts of the training, the earliest first."""
        folders = sorted(path.parent for path in self.training.glob('*/vis_data'))
        # A test in the same directory has a folder, too, but logs no iteration.
        return [f for f in folders if (f / 'vis_data/scalars.json').is_file()] or folders

    def _read_config(self, starts: Sequence[Path]) -> None:
        files = [start / 'vis_data/config.py' for start in reversed(starts)]
        files += sorted(self.training.glob('*.py')) + sorted(self.path.glob('*_adapted.py'))
        for file in filter(Path.is_file, files):
            self.cfg = Config.fromfile(str(file))
            return
        self.missing.append(
            'The config that was trained (<time>/vis_data/config.py) is not there: sections that '
            'need the data or the model are left out.'
        )

    def _read_scalars(self) -> None:
        try:
            self.curves = read_scalars(str(self.training))
        except ValueError:
            pass
        if not self.curves:
            self.missing.append(
                'No scalars (<time>/vis_data/scalars.json) were logged yet: there are no curves. '
                "They need vis_backends=[dict(type='LocalVisBackend')] in the visualizer."
            )

    @property
    def name(self) -> str:
        """The last parts of its path."""
        return self.path.resolve().name

    @cached_property
    def checkpoints(self) -> list[Path]:
        """Checkpoints in the order of their iterations."""
        found = {
            path: int(match[1])
            for path in self.training.glob('*.pth')
            if (match := re.fullmatch(r'(?:iter|epoch)_(\d+)\.pth', path.name))
        }
        return sorted(found, key=lambda path: found[path])

    @property
    def has_started(self) -> bool:
        """Whether it is the work directory of a training at all."""
        adapted = (self.path / 'adapt.json').is_file()
        return bool(self._starts() or self.checkpoints or adapted)

    @property
    def config_name(self) -> str:
        """Name of the file of the config that was trained; empty if it is not known."""
        dumped = sorted(self.training.glob('*.py'))
        return dumped[-1].name if dumped else ''

    @property
    def written_config(self) -> str | None:
        """The config that ``tools/adapt.py`` has written, with its ``_base_``."""
        found = sorted(self.path.glob('*_adapted.py')) if self.training != self.path else []
        return str(found[0]) if found else None

    @property
    def start(self) -> str | None:
        """The checkpoint that the training started from, if its config has one."""
        load_from = None if self.cfg is None else self.cfg.get('load_from')
        # A resumed run dumps the checkpoint that it goes on from.
        if load_from and Path(load_from).resolve().parent == self.training.resolve():
            return None
        return load_from

    @property
    def last_iteration(self) -> int:
        """The last iteration that was logged, or 0."""
        return max(self.curves.get('loss', {0: 0.0}), default=0)

    @property
    def unfinished(self) -> str:
        """What a training has still to do; empty if it has ended, or if nobody can say."""
        train_cfg = (self.cfg.get('train_cfg') if self.cfg is not None else None) or {}
        last = self.checkpoints[-1].stem.partition('_') if self.checkpoints else ('', '', '0')
        for unit, key in (('iter', 'max_iters'), ('epoch', 'max_epochs')):
            wanted = train_cfg.get(key)
            done = int(last[2]) if last[0] == unit else 0
            if wanted and done < wanted:
                kind = 'iterations' if unit == 'iter' else 'epochs'
                return f'the last checkpoint is after {done:,} of {wanted:,} {kind}'
        return ''

    @cached_property
    def warnings(self) -> list[str]:
        """Warnings in the logs of the training, each once."""
        found: list[str] = []
        for log in sorted(start / f'{start.name}.log' for start in self._starts()):
            if log.is_file():
                found += log_warnings(log.read_text(encoding='utf-8', errors='replace'))
        return list(dict.fromkeys(found))

    @property
    def result(self) -> Path | None:
        """The checkpoint of the result: the exported one, else the last one; None without any.

        An export that is older than the last checkpoint is that of an earlier training.
        """
        exported = [path for path in self.exported if path.suffix == '.pth' and self.is_new(path)]
        return next(iter([*exported, *self.checkpoints[-1:]]), None)

    def is_new(self, path: Path) -> bool:
        """Whether a file is not older than the last checkpoint."""
        times = [file.stat().st_mtime for file in self.checkpoints[-1:]]
        return path.stat().st_mtime >= max(times, default=0)

    @property
    def exported(self) -> list[Path]:
        """Files of an export by ``tools/adapt.py``."""
        return sorted((self.path / EXPORTED).glob('*.p*'))


def log_warnings(text: str) -> list[str]:
    """Return the warnings of a log of MMEngine, without those about the hosts' own code.

    >>> log_warnings('''2026/01/01 00:00:00 - mmengine - WARNING - At iteration 9: it is
    ... so
    ... 2026/01/01 00:00:01 - mmengine - INFO - Iter(train)''')
    ['At iteration 9: it is so']
    """
    found: list[str] = []
    within = False
    for line in text.splitlines():
        if match := WARNING.match(line):
            found.append(match[1])
        elif within and not ENTRY.match(line):
            found[-1] += f' {line.strip()}'
        within = bool(match) or within and not ENTRY.match(line)
    return [warning for warning in found if not any(noise in warning for noise in NOISE)]
