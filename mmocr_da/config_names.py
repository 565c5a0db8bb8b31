"""Suggests names for a config that does not exist."""

import difflib
from pathlib import Path

#: Folder in which MMEngine finds the configs of ``mmocr_da::``.
CONFIGS = Path(__file__).parent / '.mim' / 'configs'


def near_configs(path: str | Path, count: int = 3) -> str:
    """Name the configs with the most similar names, as the end of an error message.

    Args:
        path: Path of the missing config, in the folder ``configs`` of the package.
        count: Number of names.

    Returns:
        The message; empty if the path is in another folder.
    """
    root, missing = CONFIGS.resolve(), Path(path).resolve().with_suffix('')
    if not missing.is_relative_to(root):
        return ''
    folder = missing.relative_to(root).parts[0]

    def likeness(config: Path) -> float:
        matcher = difflib.SequenceMatcher(None, missing.name, config.stem)
        # A config seldom moves to another method.
        return matcher.ratio() + 0.3 * (config.relative_to(root).parts[0] == folder)

    configs = sorted(root.rglob('*.py'), key=likeness, reverse=True)
    names = [f'mmocr_da::{config.relative_to(root).as_posix()}' for config in configs[:count]]
    return (
        f'; the names most like it are {", ".join(names)}. The data may not be part of the name: '
        'MMOCR_DA_DATA=words chooses them, see configs/README.md'
    )
