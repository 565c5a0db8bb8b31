"""Finds the image files of folders, and reads text files that list images."""

import codecs
import os
import os.path as osp
from collections import Counter
from collections.abc import Iterator, Sequence

#: File formats that OpenCV reads.
IMAGE_SUFFIXES = (
    '.bmp',
    '.dib',
    '.jfif',
    '.jp2',
    '.jpe',
    '.jpeg',
    '.jpg',
    '.pbm',
    '.pgm',
    '.png',
    '.pnm',
    '.ppm',
    '.ras',
    '.sr',
    '.tif',
    '.tiff',
    '.webp',
)
#: Folders in which programs keep thumbnails and previews, besides names that start with a dot
#: ('.thumbnails', '.ipynb_checkpoints').
HIDDEN = ('@eaDir', '__MACOSX')


def find_images(folders: Sequence[str]) -> tuple[list[str], Counter]:
    """Find all images in folders and their subfolders.

    Symbolic links are followed, but each file is listed once: by its own path if that is below one
    of the folders, else by the first link to it. Names that start with a dot and folders of
    :data:`HIDDEN` are skipped.

    Returns:
        The sorted paths, and the numbers of files that are left out, by suffix or other reason.
    """
    paths: list[str] = []
    left_out: Counter[str] = Counter()
    seen: set[str] = set()
    links = list(folders)
    while links:
        # Links come last, so that a file is found by its own path first.
        start, links = links, []
        for path in start:
            for file in _walk(path, seen, links, left_out):
                suffix = osp.splitext(file)[1].lower()
                if suffix in IMAGE_SUFFIXES:
                    paths.append(file)
                else:
                    left_out[suffix or 'no suffix'] += 1
    return sorted(paths), left_out


def describe(left_out: Counter, shown: int = 8) -> str:
    """Format the numbers of :func:`find_images`, the most frequent first.

    >>> describe(Counter({'.txt': 12, '.heic': 3}))
    '12 .txt, 3 .heic'
    """
    parts = [f'{count} {reason}' for reason, count in left_out.most_common(shown)]
    return ', '.join(parts + ['...'] * (len(left_out) > shown))


def _walk(path: str, seen: set, links: list[str], left_out: Counter) -> Iterator[str]:
    """Yield the files of a tree that were not seen yet; collect the symbolic links in ``links``."""
    real = osp.realpath(path)
    if real in seen:
        left_out['links to files that are listed already'] += 1
        return
    seen.add(real)
    if not osp.isdir(path):
        # Also a broken link: the error of reading it will name it.
        yield path
        return
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError:
        left_out['folders that cannot be read'] += 1
        return
    for entry in entries:
        if entry.name.startswith('.') or entry.name in HIDDEN:
            left_out['hidden files or folders'] += 1
        elif entry.is_symlink():
            links.append(entry.path)
        elif entry.is_dir():
            yield from _walk(entry.path, seen, links, left_out)
        elif (file := osp.join(real, entry.name)) not in seen:
            seen.add(file)
            yield entry.path


def read_text(path: str) -> str:
    """Read a text file in UTF-8, or in UTF-16 with a byte order mark.

    Raises:
        ValueError: If it is in another encoding.
    """
    with open(path, 'rb') as file:
        content = file.read()
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not utf16 and b'\0' in content:
        raise ValueError(
            f'{path} must be a text file in UTF-8, got zero bytes, as UTF-16 without '
            'a byte order mark has; save it as UTF-8'
        )
    try:
        return content.decode('utf-16' if utf16 else 'utf-8-sig')
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b'\n') + 1
        raise ValueError(
            f'{path} must be a text file in UTF-8, got other bytes in line {line}: '
            f'{error.reason}; save it as UTF-8'
        ) from error
