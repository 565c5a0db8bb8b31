"""Parsers of handwritten word images: IAM, RIMES and CVL."""

import os
import os.path as osp
import re
import unicodedata
from collections.abc import Iterator, Sequence

import cv2
import mmengine
from mmocr.datasets.preparers.parsers import BaseParser

from mmocr_da.outputs import output_file

from ..image_files import read_text
from .registry import DATA_PARSERS


class WordParser(BaseParser):
    """Base of parsers of datasets with one image per word.

    They write ``report_SPLIT.json`` beside the annotations: ``found``, numbers by name, and
    ``skipped``, lists of images by reason.

    Subclasses define ``words(img_dir, ann_path)``, which yields ``(image path, text)``, calls
    ``skip`` and fills ``found``.
    """

    def parse_files(self, img_paths: str, ann_paths: str) -> list[tuple[str, str]]:
        """Return ``[(image path, text), ...]`` of the words with a readable image.

        Raises:
            ValueError: If there is no word.
        """
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
        """Leave an image out and list it in the report under this reason."""
        self.skipped.setdefault(reason, []).append(osp.relpath(path, self.img_dir))


def _fault(path: str) -> str | None:
    if not osp.isfile(path):
        return 'image missing'
    image = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    return 'image unreadable' if image is None or not image.size else None


def read_lines(path: str) -> list[str]:
    """Return the lines of a text in UTF-8, UTF-16 with a byte order mark, or Windows-1252.

    Raises:
        ValueError: If it has zero bytes, as UTF-16 without a byte order mark.
    """
    try:
        text = read_text(path)
    except ValueError as error:
        if not isinstance(error.__cause__, UnicodeDecodeError):
            raise
        with open(path, encoding='cp1252', errors='replace', newline='') as file:
            text = file.read()
    # Not splitlines(), which also splits at characters of Windows-1252.
    return unicodedata.normalize('NFC', text).replace('\r\n', '\n').split('\n')


@DATA_PARSERS.register_module()
class IAMTextRecogAnnParser(WordParser):
    """Words of the IAM handwriting database (Marti & Bunke, IJDAR 2002).

    ``words.txt`` has rows ``a01-000u-00-00 ok 154 408 768 27 51 AT A``: word id, segmentation,
    grey level, box, grammatical tag, and the text up to the end of the row.

    Args:
        line_sets: Files beside ``words.txt`` with ids of text lines, ``a01-000u-00``; the split
            has the words of these lines.
        only_ok: Leave out words with a segmentation that is not marked ``ok``.
    """

    def __init__(self, line_sets: Sequence[str], only_ok: bool = True, **kwargs) -> None:
        super().__init__(**kwargs)
        self.line_sets = line_sets
        self.only_ok = only_ok

    def words(self, img_dir: str, ann_path: str) -> Iterator[tuple[str, str]]:
        """Yield ``(image path, text)`` in the order of ``words.txt``."""
        lines = set()
        for name in self.line_sets:
            lines.update(' '.join(read_lines(osp.join(osp.dirname(ann_path), name))).split())
        self.found[f'lines in {", ".join(self.line_sets)}'] = len(lines)
        self.found['words in words.txt'] = 0
        for row in read_lines(ann_path):
            if row.startswith('#') or not row.strip():
                continue
            self.found['words in words.txt'] += 1
            # The text may contain spaces and '#'.
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
        """Yield ``(image path, text)`` in the order of the file."""
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

    Images are ``0052/0052-1-0-0-Imagine.tif``: writer, passage, line, word, text. The text may
    contain hyphens; it has no punctuation of the sentences. CVL has no validation split: the
    training writers with the highest numbers become one.

    Args:
        english_only: Leave out the German passage and words with characters outside ASCII.
        val_share: Part of the training writers that go to ``val``, at least one.
    """

    #: Goethe's Faust. The other passages are 1, 2, 3, 4, 7 and 8.
    GERMAN = '6'

    def __init__(self, english_only: bool = True, val_share: float = 0.1, **kwargs) -> None:
        super().__init__(**kwargs)
        self.english_only = english_only
        self.val_share = val_share

    def words(self, img_dir: str, ann_path: str) -> Iterator[tuple[str, str]]:
        """Yield ``(image path, text)`` in the order of the paths; there is no ``ann_path``."""
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
                self.skip('characters that are not English', path)
            else:
                yield path, match['text']

    @staticmethod
    def _fields(name: str) -> re.Match | None:
        name = unicodedata.normalize('NFC', name)
        return re.fullmatch(
            r'(?P<writer>\d+)-(?P<passage>\d+)-\d+-\d+-(?P<text>.+)\.tif', name, re.IGNORECASE
        )
