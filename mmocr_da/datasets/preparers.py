"""Handwritten words that MMOCR's dataset preparer lacks: IAM, RIMES and CVL.

Parts for :class:`mmocr.datasets.preparers.DatasetPreparer`. A config of it names them as
``type='mmocr_da.X'`` after ``custom_imports = dict(imports=['mmocr_da.datasets.preparers'])``.
"""

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

import cv2
import mmengine
from mmengine.registry import Registry
from mmocr.datasets.preparers.parsers import BaseParser
from mmocr.registry import DATA_OBTAINERS as MMOCR_DATA_OBTAINERS
from mmocr.registry import DATA_PARSERS as MMOCR_DATA_PARSERS

from mmocr_da.outputs import output_file, staging

from .image_files import read_text

# MMOCR's preparer asks its own registries, which have no parent: hence children of those.
DATA_OBTAINERS, DATA_PARSERS = (
    Registry(parent.name, parent=parent, scope='mmocr_da', locations=[__name__])
    for parent in (MMOCR_DATA_OBTAINERS, MMOCR_DATA_PARSERS)
)

#: What reading a file that was cut off or altered raises.
DAMAGED = (EOFError, gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile, zlib.error)


@DATA_OBTAINERS.register_module()
class ArchiveObtainer:
    """Takes files out of archives that the user had to ask for; nothing is downloaded.

    All archives have to be there before the first is unpacked. What this makes is complete or
    does not exist: an interrupted run starts anew, a finished one is not repeated, even if the
    archive is gone.

    Args:
        files: One dict for each thing to take:

            - ``names``: Names of the archive, the usual one first: a zip, a tar, the folder that
              one was unpacked to, or the wanted file itself. The first that exists is used, but
              a folder before all others.
            - ``members``: Regular expression that is searched in the paths inside. Other files
              are left there.
            - ``to``: Path below ``data_root``. If ``members`` has a group, ``to`` is a folder and
              the group a path in it; otherwise the matching file gets this name.
            - ``example``: A path inside, for messages.
            - ``mistaken`` (optional): Regular expressions of paths in archives that are easily
              taken for this one, with their names.
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
        """Unpack what is not there yet; ValueError if an archive is missing or not the one."""
        for file, target, path in self.find():
            if path is None:
                print(f'{target} is there; delete it to have it unpacked again')
            else:
                print(f'Unpacking {path}...')
                self._take(path, target, **file)

    def find(self) -> list[tuple[dict, str, str | None]]:
        """``[(file, target, path), ...]``; ``path`` is None if the target is there.

        ValueError if an archive is missing.
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
                # What macOS adds to a file has nearly its name.
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
    """Path inside and reader of each file of a zip, a tar, a folder, or of the file itself."""
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
    assert content is not None  # it is None for members that are no files only
    return content.read()


def _zip_name(info: zipfile.ZipInfo) -> str:
    name = info.filename
    if not info.flag_bits & 0x800 and not name.isascii():
        # No encoding is declared, so Python took DOS's. Packers also write the bytes of Unix or
        # of Windows; accented letters tell which.
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
    """ValueError if the file is neither an archive nor plain text."""
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


class WordParser(BaseParser):
    """Base of the parsers: one image per word, and an account of what is left out.

    The account is ``report_SPLIT.json`` beside the annotations: ``found``, numbers by name, and
    ``skipped``, lists of images by reason.

    Subclasses define ``words(img_dir, ann_path)``, which yields ``(image path, text)``, calls
    ``skip`` and fills ``found``.
    """

    def parse_files(self, img_paths: str, ann_paths: str) -> list[tuple[str, str]]:
        """``[(image path, text), ...]`` of the words whose image can be read."""
        self.img_dir = img_paths
        self.found: dict[str, int] = {}
        self.skipped: dict[str, list[str]] = {}
        words = list(self.words(img_paths, ann_paths))
        if words:
            faults = mmengine.track_parallel_progress(
                _fault, [path for path, _ in words], nproc=self.nproc, chunksize=64
            )
            for (path, _), fault in zip(words, faults):
                if fault:
                    self.skip(fault, path)
            words = [word for word, fault in zip(words, faults) if not fault]
        report = dict(found=self.found, skipped=self.skipped)
        name = osp.join(osp.dirname(ann_paths), f'report_{self.split}.json')
        with output_file(name, 'prepare_dataset') as file:
            mmengine.dump(report, file)
        if not words:
            counts = {reason: len(paths) for reason, paths in self.skipped.items()}
            raise ValueError(
                f'the {self.split} split must have words, got none in {img_paths} '
                f'with {ann_paths}; found {self.found}, skipped {counts}; if images '
                'and annotations are not of the same split, delete both here, and '
                'put the right archives in place'
            )
        return words

    def skip(self, reason: str, path: str) -> None:
        """Leave an image out."""
        self.skipped.setdefault(reason, []).append(osp.relpath(path, self.img_dir))


def _fault(path: str) -> str | None:
    if not osp.isfile(path):
        return 'image missing'
    image = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    return 'image unreadable' if image is None or not image.size else None


def read_lines(path: str) -> list[str]:
    """Lines of a text in UTF-8, UTF-16 with a byte order mark, or else Windows-1252."""
    try:
        text = read_text(path)
    except ValueError as error:
        if not isinstance(error.__cause__, UnicodeDecodeError):
            raise
        with open(path, encoding='cp1252', errors='replace', newline='') as file:
            text = file.read()
    # Not splitlines(), which also splits at characters that Windows-1252 may have.
    return unicodedata.normalize('NFC', text).replace('\r\n', '\n').split('\n')


@DATA_PARSERS.register_module()
class IAMTextRecogAnnParser(WordParser):
    """Words of the IAM handwriting database (Marti & Bunke, IJDAR 2002).

    ``words.txt`` has rows ``a01-000u-00-00 ok 154 408 768 27 51 AT A``: word id, segmentation,
    grey level, box, grammatical tag, and the text up to the end of the row.

    Args:
        line_sets: Files beside ``words.txt`` with ids of text lines, ``a01-000u-00``; the split
            has the words of these lines.
        only_ok: Leave out words whose segmentation is not marked ``ok``.
    """

    def __init__(self, line_sets: Sequence[str], only_ok: bool = True, **kwargs) -> None:
        super().__init__(**kwargs)
        self.line_sets = line_sets
        self.only_ok = only_ok

    def words(self, img_dir: str, ann_path: str) -> Iterator[tuple[str, str]]:
        """``(image path, text)`` in the order of ``words.txt``."""
        lines = set()
        for name in self.line_sets:
            lines.update(' '.join(read_lines(osp.join(osp.dirname(ann_path), name))).split())
        self.found[f'lines in {", ".join(self.line_sets)}'] = len(lines)
        self.found['words in words.txt'] = 0
        for row in read_lines(ann_path):
            if row.startswith('#') or not row.strip():
                continue
            self.found['words in words.txt'] += 1
            # The text may hold spaces, and further '#'.
            word, status, *_, text = row.split(None, 8) + [''] * max(0, 9 - len(row.split()))
            if word.rpartition('-')[0] not in lines:
                continue
            group, form = word.split('-')[:2]
            path = osp.join(img_dir, group, f'{group}-{form}', f'{word}.png')
            if self.only_ok and status != 'ok':
                self.skip(f'marked {status}', path)
            elif not text.strip():
                self.skip('no text', path)
            else:
                yield path, text.strip()


@DATA_PARSERS.register_module()
class RIMESTextRecogAnnParser(WordParser):
    """Words of RIMES, task "isolated words" of ICDAR 2011 (Grosicki & El-Abed, ICDAR 2011).

    Rows ``lot_1/00001_L/00001_L_0_0.tiff Madame``: image, space, text.
    """

    def words(self, img_dir: str, ann_path: str) -> Iterator[tuple[str, str]]:
        """``(image path, text)`` in the order of the file."""
        rows = [row.strip() for row in read_lines(ann_path) if row.strip()]
        self.found['rows of the ground truth'] = len(rows)
        for row in rows:
            name, *text = row.split(None, 1)
            path = osp.join(img_dir, *name.replace('\\', '/').split('/'))
            if text:
                yield path, text[0]
            else:
                self.skip('no text', path)


@DATA_PARSERS.register_module()
class CVLTextRecogAnnParser(WordParser):
    """Words of the CVL database (Kleber et al., ICDAR 2013).

    Images are ``0052/0052-1-0-0-Imagine.tif``: writer, passage, line, word, text, which may hold
    further hyphens. Sentences' punctuation is not in it. CVL has no validation split: it is made
    of the training writers with the highest numbers.

    Args:
        english_only: Leave out the German passage and words with other letters than English.
        val_share: Part of the training writers that go to ``val``, at least one.
    """

    #: Goethe's Faust. The other passages are 1, 2, 3, 4, 7 and 8.
    GERMAN = '6'

    def __init__(self, english_only: bool = True, val_share: float = 0.1, **kwargs) -> None:
        super().__init__(**kwargs)
        self.english_only = english_only
        self.val_share = val_share

    def words(self, img_dir: str, ann_path: str) -> Iterator[tuple[str, str]]:
        """``(image path, text)`` in the order of the paths; there is no ``ann_path``."""
        os.makedirs(osp.dirname(ann_path), exist_ok=True)
        paths = sorted(
            osp.join(root, name) for root, _, names in os.walk(img_dir) for name in names
        )
        fields = {path: self._fields(osp.basename(path)) for path in paths}
        writers = sorted({match['writer'] for match in fields.values() if match})
        name = osp.basename(img_dir)
        self.found.update({f'writers in {name}': len(writers), f'images in {name}': len(paths)})
        if self.split != 'test':
            held_out = max(1, round(self.val_share * len(writers)))
            writers = writers[-held_out:] if self.split == 'val' else writers[:-held_out]
        for path, match in fields.items():
            if match is None:
                self.skip('no text', path)
            elif match['writer'] not in writers:
                continue
            elif self.english_only and match['passage'] == self.GERMAN:
                self.skip('German passage', path)
            elif self.english_only and not match['text'].isascii():
                self.skip('letters that are not English', path)
            else:
                yield path, match['text']

    @staticmethod
    def _fields(name: str) -> re.Match | None:
        name = unicodedata.normalize('NFC', name)
        return re.fullmatch(
            r'(?P<writer>\d+)-(?P<passage>\d+)-\d+-\d+-(?P<text>.+)\.tif', name, re.IGNORECASE
        )
