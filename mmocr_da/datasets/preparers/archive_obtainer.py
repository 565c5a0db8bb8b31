"""Takes the files of a dataset out of archives that a user got by hand."""

import gzip
import os
import os.path as osp
import re
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mmocr_da.outputs import staging

from .registry import DATA_OBTAINERS

#: Errors of reading an archive that was cut off or altered.
DAMAGED = (EOFError, gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile, zlib.error)


@DATA_OBTAINERS.register_module()
class ArchiveObtainer:
    """Takes files out of archives that the user had to request; nothing is downloaded.

    All archives must exist before the first is unpacked. Each target is complete or does not exist:
    an interrupted run starts again, and a target that exists is kept, even if its archive is gone.

    Args:
        files: One dict for each thing to take:

            - ``names``: Names of the archive, the usual one first: a zip, a tar, the folder that
              it was unpacked to, or the wanted file itself. The first that exists is used, folders
              before files.
            - ``members``: Regular expression that the paths inside must match; other files are
              skipped.
            - ``to``: Path below ``data_root``. If ``members`` has a group, ``to`` is a folder and
              the group a path in it; otherwise the matching file gets this name.
            - ``example``: A path inside, for messages.
            - ``mistaken`` (optional): Regular expressions of paths in archives that are easily
              confused with this one, with their names.
        homepage: Where to get the archives.
        cache_path: Folder with the archives.
        data_root: Folder of the dataset.
        task: Not used; the preparer passes it.
    """

    def __init__(
        self,
        files: Sequence[dict],
        homepage: str,
        cache_path: str,
        data_root: str,
        task: str = 'textrecog',
    ) -> None:
        self.files = files
        self.homepage = homepage
        self.cache_path = cache_path
        self.data_root = data_root

    def __call__(self) -> None:
        """Unpack the targets that do not exist.

        Raises:
            ValueError: If an archive is missing, damaged or the wrong one.
        """
        for file, target, path in self.find():
            if path is None:
                print(f'{target} is there; delete it to have it unpacked again')
            else:
                print(f'Unpacking {path}...')
                self._take(path, target, **file)

    def find(self) -> list[tuple[dict, str, str | None]]:
        """Find the archive of each target.

        Returns:
            ``[(file, target, path), ...]``; ``path`` is None if the target exists.

        Raises:
            ValueError: If an archive is missing.
        """
        found: list[tuple[dict, str, str | None]] = []
        missing = []
        for file in self.files:
            target = osp.join(self.data_root, file['to'])
            paths = [osp.join(self.cache_path, name) for name in file['names']]
            paths = sorted(filter(osp.exists, paths), key=osp.isfile)
            if osp.exists(target):
                found.append((file, target, None))
            elif paths:
                found.append((file, target, paths[0]))
            else:
                missing.append(file['names'][0])
        if missing:
            state = 'which does not hold' if osp.isdir(self.cache_path) else 'which is no folder:'
            raise ValueError(
                f'the archives must be in one folder, got {self.cache_path!r}, {state} '
                f'{", ".join(dict.fromkeys(missing))}. Get the data from {self.homepage} and put '
                'the files there as they are'
            )
        return found

    def _take(self, path: str, target: str, **file) -> None:
        with staging(Path(target).parent, osp.basename(target)) as folder:
            if not osp.exists(target):  # another process may just have finished it
                self._unpack(path, str(folder / 'content'), **file)
                os.replace(folder / 'content', target)

    def _unpack(
        self,
        path: str,
        part: str,
        members: str,
        example: str,
        mistaken: dict[str, str] | None = None,
        **_,
    ) -> None:
        advice = f'get the right file from {self.homepage}'
        others: list[str] = []
        try:
            for name, read in _members(path):
                match = re.search(members, name)
                if match is None:
                    others += [name] if len(others) < 20 else []
                    continue
                # macOS adds files with nearly the same name.
                if osp.basename(name).startswith('._'):
                    continue
                inner = [match[1]] if match.lastindex else []
                # Paths that a user's archive chooses must not lead out of the folder.
                if any(osp.isabs(p) or '..' in p.split('/') for p in inner):
                    raise ValueError(f'{path} must hold paths below itself, got {name!r}; {advice}')
                written = osp.join(part, *inner)
                os.makedirs(osp.dirname(written), exist_ok=True)
                with open(written, 'wb') as file:
                    file.write(read())
        except DAMAGED as error:
            raise ValueError(
                f'{path} must be a whole archive, got one that is cut off or damaged '
                f'({error}); download it again from {self.homepage}'
            ) from error
        if not osp.exists(part):
            looks = [
                f', which looks like {other}'
                for pattern, other in (mistaken or {}).items()
                if re.search(pattern, '\n'.join(others), re.MULTILINE)
            ]
            raise ValueError(
                f'{path} must hold files like {example}, got '
                f'{", ".join(others[:3]) or "no file"}{"".join(looks[:1])}; {advice}'
            )


def _members(path: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield ``(path inside, reader)`` of each file of a zip, tar or folder, or of a text file."""
    if osp.isdir(path):
        for root, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                full = osp.join(root, name)
                inner = osp.relpath(full, osp.dirname(path)).replace(os.sep, '/')
                yield inner, Path(full).read_bytes
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as zipped:
            for info in zipped.infolist():
                if not info.is_dir():
                    yield _zip_name(info), partial(zipped.read, info)
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            for member in archive:
                # Contents only: links, owners and permissions of the archive have no effect.
                if member.isfile():
                    yield member.name, partial(_read_member, archive, member)
            # A tar that is cut off between two files would otherwise pass; one that is
            # compressed is read to its check sum.
            stream: Any = archive.fileobj
            stream.seek(archive.offset)
            if stream.read(512) != bytes(512):
                raise tarfile.ReadError('no end mark')
            while stream.read(1 << 20):
                pass
    else:
        _refuse(path)
        yield osp.basename(path), lambda: open(path, 'rb').read()


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(member)
    assert content is not None  # it is None only for members that are not files
    return content.read()


def _zip_name(info: zipfile.ZipInfo) -> str:
    name = info.filename
    if not info.flag_bits & 0x800 and not name.isascii():
        # No encoding is declared, so Python assumes the encoding of DOS. Packers also use UTF-8 and
        # Windows encodings: the right one gives accented Latin characters.
        content = name.encode('cp437')
        for encoding in ('utf-8', 'cp437', 'cp1252'):
            decoded = content.decode(encoding, errors='replace')
            if all(
                char.isascii() or unicodedata.name(char, '').startswith(('LATIN', 'COMBINING'))
                for char in decoded
            ):
                name = decoded
                break
    return unicodedata.normalize('NFC', name.replace('\\', '/'))


def _refuse(path: str) -> None:
    """Raise a ValueError if the file is neither an archive nor a text file."""
    with open(path, 'rb') as file:
        head = file.read(512)
    if head.startswith((b'PK\3\4', b'\x1f\x8b')):
        raise EOFError('its end is missing')
    if head.startswith(b'Rar!'):
        raise ValueError(
            f'{path} must be unpacked by hand, got a RAR archive, which Python does '
            'not read; run "unrar x" on it and leave the folder beside it'
        )
    if head.lstrip().startswith(b'<'):
        raise ValueError(
            f'{path} must be the data, got a web page, probably the one that asks to '
            'log in; download it again in a browser that is logged in'
        )
    if not head or not path.endswith('.txt'):
        raise ValueError(
            f'{path} must be a zip or a tar, got {len(head) or "an empty file of 0"} '
            'bytes of something else; download it again'
        )
