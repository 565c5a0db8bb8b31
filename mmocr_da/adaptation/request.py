"""What a user asks of an adaptation."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmocr_da.arguments import check_choice, check_count
from mmocr_da.datasets.notes import printable
from mmocr_da.evaluation.label_free_metric import OF_TEXTS, SCORES
from mmocr_da.outputs import content_stamp, stamp

from .image_sources import CONFIG, NONE, RENDERED

#: The writer of files, see :mod:`mmocr_da.outputs`.
BY = 'tools/adapt.py'
#: The checkpoint that is exported, if it is not chosen by a score.
LAST = 'last'


@dataclass(frozen=True)
class Request:
    """The arguments of :func:`~mmocr_da.adaptation.run.adapt`, checked as far as they stand alone.

    Args:
        config: Config of the recognizer, see :func:`~mmocr_da.config_names.find_config`.
        checkpoint: Its weights: a file, or an address that MMEngine can load.
        target: Images of the target, see :func:`.image_sources.target_dataset`.
        source: Any of ``'config'``, ``'rendered'`` and paths to labelled images; or ``'none'``.
        lexicon: With ``'rendered'``: words to draw, one per line.
        fonts: With ``'rendered'``: a folder of fonts.
        work_dir: Folder of everything that is written.
        max_iters: Iterations.
        batch_size: Images of a batch, both domains together; None for a choice by device.
        eval_labels: A table with labels of some target images, for numbers before and after.
        seed: Of all random numbers.
        cfg_options: Further settings of the config that is trained.
        keep: The checkpoint that is exported: ``'last'``, or the one with the highest score of
            :class:`~mmocr_da.evaluation.LabelFreeMetric` on the target.
    """

    config: str
    checkpoint: str
    target: tuple[str, ...]
    source: tuple[str, ...] = (CONFIG,)
    lexicon: str | None = None
    fonts: str | None = None
    work_dir: str | None = None
    max_iters: int = 2000
    batch_size: int | None = None
    eval_labels: str | None = None
    seed: int = 0
    cfg_options: dict[str, Any] = field(default_factory=dict)
    keep: str = LAST

    def __post_init__(self) -> None:
        check_count('max_iters', self.max_iters)
        check_count('seed', self.seed, least=0)
        if self.batch_size is not None:
            check_count('batch_size', self.batch_size, least=2, of='images of both domains')
        if not self.target or not self.source:
            raise ValueError(
                f'target and source need a value, got target={self.target}, source={self.source}'
            )
        if len({*self.source}) < len(self.source) or (NONE in self.source and len(self.source) > 1):
            raise ValueError(
                f'source must be {NONE}, or any of {CONFIG}, {RENDERED} and paths, each once, got '
                f'{list(self.source)}'
            )
        if not self.renders and (self.lexicon or self.fonts):
            raise ValueError(
                f'lexicon and fonts are for --source {RENDERED}, got them with --source '
                f'{" ".join(self.source)}; leave them out, or render the source'
            )

        paths = [self.config, self.checkpoint, self.lexicon, self.fonts, self.work_dir]
        for path in (*paths, *self.target, *self.source, self.eval_labels):
            if path and printable(path) != path:
                raise ValueError(
                    f'paths must be in UTF-8 and of one line, got {printable(path)}: rename it, or '
                    'give a link to it'
                )
        check_choice('keep', self.keep, (LAST, *SCORES))
        if self.keep in OF_TEXTS and self.source == (NONE,):
            raise ValueError(
                f'keep={self.keep!r} compares predictions with labels of a source, got --source '
                f'{NONE}; choose another score, such as information, or give a source'
            )

    @property
    def renders(self) -> bool:
        """Whether source images are rendered."""
        return RENDERED in self.source

    def recorded(self) -> dict[str, Any]:
        """The arguments of the training as JSON.

        Labels for numbers before and after have no part in it.
        """
        record = asdict(self)
        del record['work_dir'], record['eval_labels']
        record['target'], record['source'] = list(self.target), list(self.source)
        return record

    def contents(self) -> dict[str, str]:
        """What tells another content of the files of the training; of folders nothing.

        See :func:`~mmocr_da.outputs.content_stamp`.
        """
        names = [self.config, self.checkpoint, self.lexicon, *self.target, *self.source]
        return {str(name): content_stamp(name) for name in names if name and Path(name).is_file()}

    @property
    def evaluated(self) -> str:
        """The labels for numbers before and after, with what tells another content."""
        return f'{self.eval_labels} {stamp(self.eval_labels)}' if self.eval_labels else ''
