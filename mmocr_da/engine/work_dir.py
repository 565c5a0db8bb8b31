"""Protects files in a work directory that MMEngine would overwrite."""

import ast
import os.path as osp
import re

from mmengine.config import Config


def check_work_dir(cfg: Config, training: bool) -> None:
    """Check that a run does not overwrite a file of the user or the checkpoint that it starts from.

    Each run dumps its config to ``<work_dir>/<config name>``, and training its checkpoints. A
    dumped config may be used again, because the run writes the same text.

    Raises:
        ValueError: If it would overwrite such a file.
    """
    dumped = osp.join(cfg.work_dir, osp.basename(cfg.filename or ''))
    if osp.isfile(dumped) and not _is_dump(dumped):
        raise ValueError(
            f'{dumped} is no config that a run has dumped, and this one would write '
            'over it; use another work directory (--work-dir), nothing was touched'
        )
    start = cfg.get('load_from')
    if (
        training
        and start
        and not cfg.get('resume')
        and re.search(r'(iter|epoch)_\d+\.pth$', start)
        and osp.isfile(start)
        and osp.realpath(osp.dirname(start)) == osp.realpath(cfg.work_dir)
    ):
        raise ValueError(
            f'load_from is a checkpoint in the work directory of this run, {start!r}, '
            'which the run would write over when it gets there; use another one '
            '(--work-dir), or continue that training by --resume'
        )


def _is_dump(path: str) -> bool:
    """Whether a config is a dump of MMEngine: flat, sorted, without imports and names."""
    with open(path, encoding='utf-8') as file:
        text = file.read()
    try:
        written = Config.fromfile(path).pretty_text
        return ast.dump(ast.parse(text)) == ast.dump(ast.parse(written))
    # JSON or YAML, or no config at all.
    except Exception:
        return False
