"""Finds a config by its path or name, and suggests names for one that does not exist."""

import difflib
import importlib.util
import os.path as osp
from pathlib import Path

#: Folder in which MMEngine finds the configs of ``mmocr_da::``.
CONFIGS = Path(__file__).parent / '.mim' / 'configs'


def find_config(name: str) -> tuple[str, str]:
    """Find a config that a user names.

    Args:
        name: A file; a name as in ``_base_``, ``mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py``; or
            only the last part of it, with or without ``.py``.

    Returns:
        The path of its file, and what a ``_base_`` says for it: ``mmocr::...``, ``mmocr_da::...``
        or an absolute path.

    Raises:
        ValueError: If there is no such config, or if several have the name.
    """
    folders = config_folders()
    if osp.isfile(name):
        return name, _as_base(Path(name), folders)
    package, separator, rest = name.partition('::')
    wanted = Path(rest if separator else name).with_suffix('.py')
    if separator and package in folders:
        found = [folders[package] / wanted] * (folders[package] / wanted).is_file()
    else:
        found = [
            path
            for folder in folders.values()
            for path in sorted(folder.rglob(wanted.name))
            if path.relative_to(folder).as_posix().endswith(wanted.as_posix())
            and not _is_base(path, folder)
        ]
    if len(found) > 1:
        names = [_as_base(path, folders) for path in found]
        raise ValueError(f'{name!r} is the name of several configs, give one: {", ".join(names)}')
    if not found:
        raise ValueError(
            'config must be a file or the name of a config of MMOCR or of this package, got '
            f'{name!r}, which is neither; {_likest(wanted.stem, folders)}'
        )
    return str(found[0]), _as_base(found[0], folders)


def check_config_folder(folder: str | Path, name: str) -> None:
    """Check that a config in a folder can name it by ``{{ fileDirname }}``, which MMEngine pastes.

    Args:
        name: Of the argument, for the message.

    Raises:
        ValueError: If it cannot.
    """
    path = osp.abspath(folder)
    if any(sign in path for sign in '\'"\\\n'):
        raise ValueError(
            f'{name} must be a folder without quotes and backslashes in its path, as MMEngine '
            f'writes it into the text of the config, got {path}; choose another one'
        )


def config_folders() -> dict[str, Path]:
    """Folders of the configs of MMOCR and of this package, by the name before ``::``."""
    folders = dict(mmocr_da=CONFIGS)
    spec = importlib.util.find_spec('mmocr')
    if spec is not None and spec.origin is not None:
        folders = dict(mmocr=Path(spec.origin).parent / '.mim' / 'configs', **folders)
    return folders


def _as_base(path: Path, folders: dict[str, Path]) -> str:
    path = path.resolve()
    for package, folder in folders.items():
        if path.is_relative_to(folder.resolve()):
            return f'{package}::{path.relative_to(folder.resolve()).as_posix()}'
    return str(path)


def _is_base(path: Path, folder: Path) -> bool:
    return any(part.startswith('_') for part in path.relative_to(folder).parts)


def _likest(stem: str, folders: dict[str, Path], count: int = 3) -> str:
    names = {
        path.stem: _as_base(path, folders)
        for folder in folders.values()
        for path in folder.rglob('*.py')
        if not _is_base(path, folder)
    }
    stems = difflib.get_close_matches(stem, names, n=count, cutoff=0)
    return f'the names most like it are {", ".join(names[near] for near in stems)}'


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
