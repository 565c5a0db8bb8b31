"""What a config is called that does not exist under the name it was asked for."""

import difflib
from pathlib import Path

#: Where MMEngine finds the configs of ``mmocr_da::``.
CONFIGS = Path(__file__).parent / '.mim' / 'configs'


def near_configs(path: str | Path, count: int = 3) -> str:
    """Names of configs that are most like a missing one, as the end of an error message.

    Args:
        path: Of a config that does not exist, in the folder ``configs`` of the package.
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
        f'; the names most like it are {", ".join(names)}. A data set may be no part of a name: '
        'MMOCR_DA_DATA=words chooses it, see configs/README.md'
    )
