"""Writes files completely or not at all, and never over files of the user.

Every folder with such files has a list of them, ``.mmocr_da.json``, with the writer and the hash of
each. A file is replaced only if it is on the list, has the same writer and is unchanged since.
"""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PathLike = str | os.PathLike[str]

LEDGER = '.mmocr_da.json'
LOCK = '.lock'
#: Larger files are not read to be told apart: 4 GiB take some ten seconds.
MOST_HASHED = 2**32
#: Before the hash in a stamp.
HASH = ', sha256 '


def check_outputs(targets: Iterable[PathLike], by: str, inputs: Iterable[PathLike] = ()) -> None:
    """Raise a ValueError if writing one of ``targets`` would destroy something.

    Args:
        targets: Files to be written.
        by: The writer. Its own earlier outputs may be replaced.
        inputs: Files that it reads.
    """
    inputs = [path for path in inputs if path and os.path.exists(path)]
    for target in map(Path, targets):
        if any(target.exists() and os.path.samefile(target, path) for path in inputs):
            raise ValueError(
                f'{target} is an input of this command and cannot be its output, too; '
                'write to another place, nothing was touched'
            )
        if target.is_dir():
            raise ValueError(
                f'the output must be a file, got {target}, which is a folder; add a file name'
            )
        _check_place(target.parent)
        if os.path.lexists(target) and not is_own(target, by):
            raise ValueError(
                f'{target} exists and was not written by {by}, or was changed since; '
                'write to another place or move it away, nothing was touched'
            )


def _check_place(folder: Path) -> None:
    """Raise a ValueError if no file can be written to ``folder``, which need not exist yet."""
    existing = next(
        path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path)
    )
    if not existing.is_dir():
        raise ValueError(
            f'the output must be in a folder, got {folder}, where {existing} is a '
            'file; write to another place'
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(
            f'the output must be in a folder that can be written to, got {folder}: '
            f'there is no permission for {existing}; write to another place'
        )


def is_own(path: PathLike, by: str) -> bool:
    """Whether ``by`` wrote a file and it is unchanged since."""
    path = Path(path)
    return path.is_file() and _read_ledger(path.parent).get(path.name) == _entry(path, by)


def stamp(path: PathLike) -> str:
    """What tells a file from another one of its name, without reading it."""
    status = os.stat(path)
    return f'{status.st_size} bytes, {int(status.st_mtime)}'


def content_stamp(path: PathLike) -> str:
    """A :func:`stamp` with the SHA-256 of the file, for :func:`is_unchanged`.

    A file of more than :data:`MOST_HASHED` bytes is not read: its size and time alone tell it.
    """
    hashed = os.path.getsize(path) <= MOST_HASHED
    return stamp(path) + (f'{HASH}{_digest(path)}' if hashed else '')


def is_unchanged(before: str, now: str) -> bool:
    """Whether two :func:`content_stamp` are of the same content.

    Where both have a hash, it decides: a copy with another time is the same. Otherwise, as with
    stamps of earlier versions, size and time do.

    >>> is_unchanged('1 bytes, 7, sha256 ab', '1 bytes, 8, sha256 ab')
    True
    >>> is_unchanged('1 bytes, 7', '1 bytes, 7, sha256 ab')
    True
    >>> is_unchanged('1 bytes, 7', '1 bytes, 8, sha256 ab')
    False
    """
    (old, _, old_hash), (new, _, new_hash) = before.partition(HASH), now.partition(HASH)
    return old_hash == new_hash if old_hash and new_hash else old == new


@contextmanager
def output_files(
    folder: PathLike, names: Iterable[str], by: str, inputs: Iterable[PathLike] = ()
) -> Iterator[Path]:
    """Yield an empty folder; the files written there become files of ``folder`` at the end.

    If an error occurs or the process is interrupted, nothing is changed. It is an error if another
    process writes the first of ``names`` at the same time.

    Args:
        folder: Made if it does not exist.
        names: Names of the files that are known in advance; others may be written, too.
        by: See :func:`check_outputs`, which is called before and after.
        inputs: See :func:`check_outputs`.
    """
    folder, names = Path(folder).resolve(), list(names)
    with staging(folder, names[0]) as stage:
        check_outputs([folder / name for name in names], by, inputs)
        yield stage
        written = [path for path in sorted(stage.iterdir()) if path.name != LOCK]
        # A file with the same content stays, such as a dictionary that is both read and written.
        written = [path for path in written if not _same_content(path, folder / path.name)]
        with _ledger(folder) as ledger:
            check_outputs([folder / path.name for path in written], by, inputs)
            for path in written:
                ledger[path.name] = _entry(path, by)
                os.replace(path, folder / path.name)


@contextmanager
def output_file(path: PathLike, by: str, inputs: Iterable[PathLike] = ()) -> Iterator[Path]:
    """Yield a path to write one file to, in the same way as :func:`output_files`."""
    path = Path(path)
    with output_files(path.parent, [path.name], by, inputs) as stage:
        yield stage / path.name


@contextmanager
def output_folder(folder: PathLike, by: str, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes ``folder`` at the end.

    With ``replace`` it replaces an earlier folder, if ``by`` wrote every file in it.
    """
    folder = Path(folder).resolve()
    with staging(folder.parent, folder.name) as stage:
        _check_folder(folder, by, replace)
        yield stage
        _check_folder(folder, by, replace)
        entries = {path.relative_to(stage).as_posix(): _entry(path, by) for path in _files(stage)}
        (stage / LEDGER).write_text(_dumped(entries), encoding='utf-8')
        if folder.exists():
            shutil.rmtree(folder)
        stage.rename(folder)
        # Only now: without the lock, another process would take the folder for an abandoned one.
        (folder / LOCK).unlink()


def _check_folder(folder: Path, by: str, replace: bool) -> None:
    if os.path.lexists(folder) and not folder.is_dir():
        raise ValueError(f'the output must be a folder, got {folder}, which is a file')
    files = _files(folder)
    if files and not replace:
        raise ValueError(
            f'{folder} must be a new folder, got one with files in it; choose another '
            'one, nothing was touched'
        )
    ledger = _read_ledger(folder)
    foreign = [
        path
        for path in files
        if ledger.get(path.relative_to(folder).as_posix()) != _entry(path, by)
    ]
    if foreign:
        raise ValueError(
            f'{folder} holds files that {by} did not write or that were changed since, such as '
            f'{foreign[0].relative_to(folder)} ({len(foreign)} in all); choose another folder or '
            'move them away, nothing was touched'
        )


@contextmanager
def staging(folder: Path, name: str) -> Iterator[Path]:
    """Yield an empty folder in ``folder`` to prepare ``folder/name``; remove it at the end.

    ``folder`` is made if it does not exist, and removed again if it is empty in the end.
    """
    _check_place(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    stage = folder / f'.{name}.partial'
    with _terminated_by_exception():
        try:
            with _lock(stage, folder / name) as lock:
                _clear(stage)  # a process that was killed may have left files
                try:
                    yield stage
                finally:
                    if _is_same(lock, stage / LOCK):  # else it was moved to its place
                        _clear(stage)
                        # The lock is the last to go: until then, nobody else writes here.
                        (stage / LOCK).unlink()
                        _remove_if_empty(stage)
        finally:
            for path in made:
                _remove_if_empty(path)


@contextmanager
def whole_file(path: PathLike) -> Iterator[Path]:
    """Yield a path beside ``path`` that replaces it at the end; only this process may write it."""
    path = Path(path)
    part = path.with_name(f'.{path.name}.{os.getpid()}.partial')
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _lock(stage: Path, target: Path) -> Iterator[IO[str]]:
    while True:
        try:
            stage.mkdir(parents=True, exist_ok=True)
            file = open(stage / LOCK, 'a')
        except (FileExistsError, FileNotFoundError):
            # Another process is just removing its folder, or a file has its name.
            if any(os.path.lexists(path) and not path.is_dir() for path in (stage, stage.parent)):
                raise
            continue
        with file:
            if not _flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
                raise ValueError(
                    f'{target} is being written by another process; wait until it has '
                    'finished, or write to another place'
                )
            # The lock must not belong to a folder that another process has just removed.
            if _is_same(file, stage / LOCK):
                yield file
                return


def _is_same(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _clear(stage: Path) -> None:
    for path in list(stage.iterdir()):
        if path.name != LOCK:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        pass


def _flock(file: IO[str] | int, how: int) -> bool:
    """False if another process has the lock."""
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


@contextmanager
def _terminated_by_exception() -> Iterator[None]:
    """Let a request to terminate clean up, as an interruption by the keyboard does."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _ledger(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the list of a folder for changes; other processes wait."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _flock(descriptor, fcntl.LOCK_EX)
        entries = _read_ledger(folder)
        yield entries
        with whole_file(folder / LEDGER) as file:
            file.write_text(_dumped(entries), encoding='utf-8')
    finally:
        os.close(descriptor)


def _read_ledger(folder: Path) -> dict[str, str]:
    try:
        return json.loads((folder / LEDGER).read_text(encoding='utf-8'))
    # There is no complete list: then no file in the folder counts as ours.
    except (OSError, ValueError):
        return {}


def _dumped(entries: dict[str, str]) -> str:
    return json.dumps(entries, indent=1, sort_keys=True, ensure_ascii=False) + '\n'


def _entry(path: Path, by: str) -> str:
    if path.is_symlink():
        return ''  # not ours: a link may point to anything
    return f'{by} {_digest(path)}'


def _digest(path: PathLike) -> str:
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def _same_content(path: Path, other: Path) -> bool:
    return other.is_file() and _entry(path, '') == _entry(other, '')


def _files(folder: Path) -> list[Path]:
    """All files below a folder but the list itself."""
    return sorted(
        path
        for path in folder.rglob('*')
        if path.name not in (LEDGER, LOCK) and (path.is_symlink() or path.is_file())
    )
