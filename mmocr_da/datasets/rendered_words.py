"""A labelled dataset without images: it draws words in the recognizer's alphabet."""

import logging
import os
import os.path as osp
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmocr.models.common import Dictionary

from mmocr_da.arguments import (
    check_config,
    check_count,
    check_flag,
    check_list,
    check_number,
    check_text,
    some,
)
from mmocr_da.registry import DATASETS
from mmocr_da.unicode import UnicodeForm, check_unicode_form, named_character, to_unicode_form

from .image_files import find_images, read_text
from .image_loading import load_as_shown
from .lexicon import MARKS, Alphabet, NGramWords, RandomStrings, Words, punctuated
from .word_fonts import group_fonts, listed_fonts, warn_of_layout
from .word_images import Style, draw_word

#: Letter cases, by the name in ``letter_case``.
CASES: dict[str, Callable[[str], str]] = dict(
    keep=str, lower=str.lower, upper=str.upper, capitalized=str.capitalize
)


@DATASETS.register_module()
class RenderedWords(BaseDataset):
    """Images of words, drawn when they are loaded; nothing is written.

    An image and its label depend on ``seed`` and the index alone: they are the same in any
    worker, any order and any epoch. Words are drawn whole, with the kerning of their font, in
    random fonts, sizes, colours, margins and on random backgrounds. Blur, noise and other
    degradations are up to the pipeline, whose loader is MMOCR's ``LoadImageFromFile``.

    A character is drawn only in a font that has it. Images of a word with a character that the
    recognizer lacks do not exist; letters of the other case are drawn and labelled as it has them.

    Args:
        lexicon: Words to draw: a text file with one per line (a repeated one is drawn more often),
            or a list. None draws random strings of the characters of ``dict_file``.
        dict_file: The recognizer's dictionary, as in MMOCR. Words with other characters are left
            out, and counted in the log. None keeps all words.
        fonts: A font file, a folder of them, or a list of both. None takes the fonts of installed
            packages: those that this package needs, and matplotlib's.
        backgrounds: A folder of images, or a list of folders, parts of which are the backgrounds of
            half of the words.
        num_images: Number of images.
        seed: Another seed gives other images.
        ngrams: Draw words with the character n-grams of this length and the word lengths of
            ``lexicon``, not its words: for characters without a language model, and for short
            lists.
        random_share: Share of random strings among the words of a lexicon: half are numbers, the
            others of letters or of all characters of ``dict_file``. A recognizer that has seen few
            numbers reads 0 as o.
        punctuation: Share of words that are drawn with a punctuation mark: before, after or around
            a word, within a number. A mark that the recognizer lacks is drawn and not labelled, so
            that it learns to skip those of real words.
        letter_case: Shares of the letter cases 'keep', 'lower', 'upper' and 'capitalized'.
        max_length: Longer words are left out.
        sizes: Smallest and largest size of the font, in pixels per em.
        min_contrast: Least difference of grey values, of 255, between a text and every pixel of
            its background.
        cropped: Share of images that cut a little of the text off at a side.
        unicode_form: Unicode form to convert the words to: 'NFC', 'NFD', 'NFKC' or 'NFKD'.
        skip_unusable: Leave out words and characters that no font has. Otherwise they are an error.
        pipeline, test_mode, metainfo, lazy_init: As in :class:`mmengine.dataset.BaseDataset`.

    Raises:
        ValueError: If an option is wrong, if no word is left, or if fonts lack a character.
    """

    METAINFO = dict(dataset_type='TextRecogDataset', task_name='textrecog')

    def __init__(
        self,
        lexicon: str | Sequence[str] | None = None,
        dict_file: str | None = None,
        fonts: str | Sequence[str] | None = None,
        backgrounds: str | Sequence[str] | None = None,
        num_images: int = 100_000,
        seed: int = 0,
        ngrams: int | None = None,
        random_share: float = 0.3,
        punctuation: float = 0.2,
        letter_case: Mapping[str, float] = dict(keep=4, lower=1, upper=2, capitalized=2),
        max_length: int = 25,
        sizes: tuple[int, int] = (14, 48),
        min_contrast: int = 50,
        cropped: float = 0.1,
        unicode_form: UnicodeForm | None = None,
        skip_unusable: bool = False,
        pipeline: Sequence[Any] | None = None,
        test_mode: bool = False,
        metainfo: dict[str, Any] | None = None,
        lazy_init: bool = False,
    ) -> None:
        if lexicon is None and dict_file is None:
            raise ValueError('RenderedWords needs a lexicon or a dict_file, got none of them')
        if lexicon is None and ngrams is not None:
            raise ValueError(f'ngrams needs a lexicon that they are taken of, got ngrams={ngrams}')
        check_count('num_images', num_images)
        check_count('seed', seed, least=0)
        check_count('max_length', max_length)
        if ngrams is not None:
            check_count('ngrams', ngrams)
        shares = dict(random_share=random_share, punctuation=punctuation, cropped=cropped)
        for name, value in shares.items():
            check_number(name, value, least=0, most=1)
        check_count('min_contrast', min_contrast, least=0, most=127)
        check_text('dict_file', dict_file)
        for name, texts in dict(lexicon=lexicon, fonts=fonts, backgrounds=backgrounds).items():
            if not (texts is None or isinstance(texts, (str, os.PathLike))):
                check_list(name, texts, (str, os.PathLike), 'texts')
                if not texts:
                    raise ValueError(f'{name} must have one text at least, got {texts!r}')
        if pipeline is not None:
            check_list('pipeline', pipeline, (dict, Callable), 'transforms')
        check_flag('skip_unusable', skip_unusable)
        numbers = isinstance(sizes, (list, tuple)) and all(type(s) is int for s in sizes)
        if not numbers or len(sizes) != 2 or not 6 <= sizes[0] <= sizes[1]:
            raise ValueError(
                f'sizes must be the smallest, of at least 6, and the largest, got {sizes!r}'
            )
        check_config('letter_case', letter_case)
        for case, share in (letter_case or {}).items():
            check_number(f'letter_case[{case!r}]', share, least=0)
        if not letter_case or set(letter_case) - set(CASES) or not sum(letter_case.values()) > 0:
            raise ValueError(f'letter_case needs shares of {", ".join(CASES)}, got {letter_case}')
        check_unicode_form(unicode_form)
        self.lexicon, self.dict_file, self.fonts = lexicon, dict_file, fonts
        self.num_images, self.seed, self.ngrams = num_images, seed, ngrams
        self.random_share, self.punctuation = random_share, punctuation
        self.max_length = max_length
        self.letter_case = tuple(letter_case), tuple(letter_case.values())
        self.unicode_form, self.skip_unusable = unicode_form, skip_unusable
        self.style = Style(
            (sizes[0], sizes[1]), min_contrast, cropped, tuple(_background_files(backgrounds))
        )
        super().__init__(
            pipeline=list(pipeline or ()),
            test_mode=test_mode,
            metainfo=metainfo,
            serialize_data=False,
            lazy_init=lazy_init,
        )
        load_as_shown(self)

    _fully_initialized: bool

    def full_init(self) -> None:
        """Read the lexicon, and look which characters the fonts have."""
        if self._fully_initialized:
            return
        characters = Dictionary(self.dict_file).dict if self.dict_file else None
        self.alphabet = Alphabet(characters) if characters is not None else None
        words = [] if self.lexicon is None else self._usable_words(self.lexicon)
        wanted = set().union(*words)
        if characters is not None and (self.lexicon is None or self.random_share):
            wanted.update(characters)
        # The other case of a letter may be drawn too, where a font has it.
        cased = {char for case in CASES.values() for char in ''.join(map(case, wanted))}
        marks = MARKS if self.punctuation else frozenset()
        self.font_groups = group_fonts(listed_fonts(self.fonts), wanted | cased | marks)
        words = self._drawable_words(words, wanted)
        warn_of_layout(wanted)
        self.words = Words(words)
        self.generator = NGramWords(words, self.ngrams) if self.ngrams else None
        # Of each group, strings of the characters that its fonts have.
        self.strings = [
            (RandomStrings(has & wanted, self.max_length), len(files))
            for has, files in self.font_groups
            if any(not char.isspace() for char in has & wanted)
        ]
        self._fully_initialized = True

    def __len__(self) -> int:
        return self.num_images

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return the annotation of an item: ``dict(img_path=..., instances=[dict(text=...)])``."""
        self.full_init()
        return self._annotation(self._index(idx), self._draw_text(self._index(idx))[1])

    def prepare_data(self, idx: int) -> dict[str, Any] | None:
        """Return the item ``idx`` after the pipeline."""
        self.full_init()
        load_as_shown(self)
        idx = self._index(idx)
        drawn, label, rng = self._draw_text(idx)
        image = draw_word(drawn, rng.choice(self._fonts_for(drawn)), rng, self.style)
        # Of the formats that hold the very pixels, BMP takes the least time.
        content = cv2.imencode('.bmp', image)[1].tobytes()
        return self.pipeline(dict(self._annotation(idx, label), content=content))

    def _index(self, idx: int) -> int:
        if not -self.num_images <= idx < self.num_images:
            raise IndexError(f'there are {self.num_images} images, got index {idx}')
        return int(idx) % self.num_images

    def _annotation(self, idx: int, label: str) -> dict[str, Any]:
        path = f'rendered/{self.seed}/{idx:07d}.png'
        return dict(img_path=path, instances=[dict(text=label)], sample_idx=idx)

    def _draw_text(self, idx: int) -> tuple[str, str, random.Random]:
        """Return what to draw, its label, and the random numbers that draw it."""
        rng = random.Random(self.seed << 64 | idx)
        word = self._draw_word(rng)
        case = CASES[rng.choices(*self.letter_case)[0]]
        drawn = case(word)
        label = self._label(drawn)
        if drawn != word and (label is None or not self._has_font(drawn)):
            drawn, label = word, self._label(word)
        assert label is not None, word
        if self.punctuation and rng.random() < self.punctuation:
            drawn, label = self._punctuated(drawn, label, rng)
        return drawn, label, rng

    def _punctuated(self, drawn: str, label: str, rng: random.Random) -> tuple[str, str]:
        """The word with a mark, where a font has both and the label is not too long."""
        marked = punctuated(drawn, rng)
        known = ''.join(char for char in marked if self._label(char) is not None)
        new = self._label(known)
        if new is None or len(new) > self.max_length or not self._has_font(marked):
            return drawn, label
        return marked, new

    def _draw_word(self, rng: random.Random) -> str:
        if not len(self.words) or (self.strings and rng.random() < self.random_share):
            strings, shares = zip(*self.strings)
            return rng.choices(strings, shares)[0].draw(rng)
        generator = self.generator
        for _ in range(20 if generator else 0):
            assert generator is not None
            word = generator.draw(rng)
            # No font may have characters of several scripts.
            if not word[:1].isspace() and not word[-1:].isspace() and self._has_font(word):
                return word
        return self.words[rng.randrange(len(self.words))]

    def _label(self, drawn: str) -> str | None:
        return self.alphabet.label(drawn) if self.alphabet else drawn

    def _fonts_for(self, text: str) -> list[str]:
        return [file for has, files in self.font_groups if has.issuperset(text) for file in files]

    def _has_font(self, text: str) -> bool:
        return any(has.issuperset(text) for has, _ in self.font_groups)

    def _usable_words(self, lexicon: str | Sequence[str]) -> list[str]:
        """Words of the lexicon that the recognizer can output; the others are reported."""
        name, words = _read_lexicon(lexicon)
        words = [to_unicode_form(word, self.unicode_form) for word in words]
        outside = [word for word in words if self._label(word) is None]
        if outside and self.alphabet:
            counts = Counter(char for word in outside for char in self.alphabet.outside(word))
            chars = some(
                [f'{named_character(char)} in {n}' for char, n in counts.most_common()], 10
            )
            parts = [f'{len(outside)} have characters outside {self.dict_file}: {chars}']
        else:
            parts = []
        left_out = set(outside)
        usable = [word for word in words if word not in left_out and len(word) <= self.max_length]
        if long := len(words) - len(outside) - len(usable):
            parts.append(f'{long} are longer than max_length={self.max_length}')
        report = f'{name}: {len(usable)} of {len(words)} words can be used' + ''.join(
            f'; {part}' for part in parts
        )
        if not usable:
            raise ValueError(
                f'a lexicon needs words in the alphabet of the recognizer, got {report}'
            )
        print_log(report, 'current', logging.WARNING if parts else logging.INFO)
        return usable

    def _drawable_words(self, words: list[str], wanted: set[str]) -> list[str]:
        """Words that a font can draw.

        Raises:
            ValueError: If there are others and they must not be left out, or if none is left.
        """
        drawn = words
        if not any(has >= wanted for has, _ in self.font_groups):
            drawn = [word for word in words if self._has_font(word)]
        have = frozenset().union(*(has for has, _ in self.font_groups))
        missing = sorted(wanted - have)
        if not missing and len(drawn) == len(words):
            return drawn
        # Without words, strings of the characters that are left.
        left = f'{len(drawn)} of {len(words)} words' if words else ''
        chars = f'{len(wanted) - len(missing)} of {len(wanted)} characters'
        message = (
            f'no font has {some([*map(named_character, missing)], 10)}; {left or chars} remain'
            if missing
            else f'no single font has all characters of some words; {left} remain'
        )
        if not self.skip_unusable or not (drawn if words else wanted & have):
            raise ValueError(
                f'fonts must have the characters of the words and of dict_file, but {message}. '
                'Give fonts of this script, or leave out what they lack: skip_unusable=True'
            )
        print_log(message, 'current', logging.WARNING)
        return drawn


def _background_files(folders: str | Sequence[str] | None) -> list[str]:
    if folders is None:
        return []
    folders = [folders] if isinstance(folders, (str, os.PathLike)) else folders
    folders = [os.fspath(folder) for folder in folders]
    files = find_images(folders)[0] if all(map(osp.isdir, folders)) else []
    if not files:
        raise ValueError(f'backgrounds must be folders with images, got {some(folders)}')
    return files


def _read_lexicon(lexicon: str | Sequence[str]) -> tuple[str, list[str]]:
    """The name of a lexicon in messages, and its words without blank ones.

    Raises:
        ValueError: If there is no such file, or no word in it.
    """
    if isinstance(lexicon, (str, os.PathLike)):
        name = f'the lexicon {os.fspath(lexicon)}'
        if not osp.isfile(lexicon):
            raise ValueError(
                f'lexicon must be a list of words or an existing text file, got {lexicon!r}'
            )
        lexicon = read_text(os.fspath(lexicon)).split('\n')
    else:
        name = 'the lexicon'
    # Also the spaces between words may be of any kind and number.
    words = [' '.join(word.split()) for word in lexicon]
    words = [word for word in words if word]
    if not words:
        raise ValueError(f'lexicon must have one word per line, got no word in {name}')
    return name, words
