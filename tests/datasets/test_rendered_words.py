"""Items of rendered words: fixed by seed and index, labelled as drawn, in the alphabet."""

import codecs
import pickle
from collections import Counter
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import torch
from helpers.fonts import make_font
from helpers.processes import CONTEXT
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, init_default_scope
from torch.utils.data import DataLoader

import mmocr_da.datasets  # noqa: F401
from mmocr_da.datasets import TwoDomainSampler, rendered_words
from mmocr_da.datasets.label_texts import labels_of

FOLDER = Path(matplotlib.get_data_path()) / 'fonts' / 'ttf'
FONTS = [str(FOLDER / f'{name}.ttf') for name in ('DejaVuSans', 'STIXGeneral')]
LEXICON = ['Total', 'amount', 'the', 'EXIT', '5th']
PIPELINE = [
    dict(type='mmocr.LoadImageFromFile', color_type='grayscale'),
    dict(type='mmocr.LoadOCRAnnotations', with_text=True),
    dict(type='mmocr.Resize', scale=(100, 32)),
    dict(type='mmocr.PackTextRecogInputs', meta_keys=('img_path', 'img_shape')),
]
CASELESS = dict(letter_case=dict(keep=1), random_share=0, punctuation=0)


@pytest.fixture
def dict_file(tmp_path):
    def make(characters, name='dict.txt'):
        (tmp_path / name).write_text('\n'.join(characters), encoding='utf-8')
        return str(tmp_path / name)

    return make


@pytest.fixture
def logged(monkeypatch):
    lines = []
    monkeypatch.setattr(rendered_words, 'print_log', lambda line, *_, **__: lines.append(line))
    return lines


def make(lexicon=tuple(LEXICON), **kwargs):
    options = dict(fonts=FONTS, num_images=40, pipeline=PIPELINE)
    return DATASETS.build(
        dict(type='mmocr_da.RenderedWords', lexicon=lexicon, **{**options, **kwargs})
    )


def content(item):
    return item['inputs'].numpy().tobytes(), item['data_samples'].gt_text.item


def texts(dataset):
    return [text for _, text in labels_of(dataset)]


def test_seed_and_index_alone_decide_about_an_item():
    dataset, again = make(), pickle.loads(pickle.dumps(make()))
    items = [content(dataset[i]) for i in range(40)]
    assert [content(again[i]) for i in reversed(range(40))] == items[::-1]
    # More images leave the first ones as they are, and the random state has no influence.
    np.random.seed(5)
    torch.manual_seed(5)
    assert [content(make(num_images=99)[i]) for i in range(40)] == items
    assert len(set(items)) == 40
    others = [content(make(seed=1)[i]) for i in range(40)]
    assert not set(others) & set(items)
    assert content(dataset[-1]) == items[-1]


def in_scope(worker):
    init_default_scope('mmocr')


def test_another_process_draws_the_same(dict_file):
    dataset = make(dict_file=dict_file('abcdefghijklmnopqrstuvwxyz0123456789'), random_share=0.5)
    expected = [content(dataset[i]) for i in range(16)]
    # Not forked from this one: strings have other hashes there.
    loader = DataLoader(
        dataset,
        4,
        num_workers=2,
        collate_fn=pseudo_collate,
        multiprocessing_context=CONTEXT,
        worker_init_fn=in_scope,
        sampler=range(16),
    )
    drawn = [
        (image.numpy().tobytes(), sample.gt_text.item)
        for batch in loader
        for image, sample in zip(batch['inputs'], batch['data_samples'])
    ]
    assert drawn == expected


def test_the_label_is_what_is_drawn(monkeypatch, dict_file):
    drawn = []
    draw_word = rendered_words.draw_word

    def draw(text, font, *args):
        drawn.append((text, font))
        return draw_word(text, font, *args)

    monkeypatch.setattr(rendered_words, 'draw_word', draw)
    both = make()
    for i in range(40):
        label = both[i]['data_samples'].gt_text.item
        assert drawn[-1][0] == label == both.get_data_info(i)['instances'][0]['text']
        assert drawn[-1][1] in FONTS
    assert {font for _, font in drawn} == set(FONTS)
    drawn.clear()
    lower = make(dict_file=dict_file('abcdefghijklmnopqrstuvwxyz0123456789'), punctuation=0)
    labels = [lower[i]['data_samples'].gt_text.item for i in range(40)]
    assert labels == [text.lower() for text, _ in drawn] != [text for text, _ in drawn]


def test_words_are_drawn_as_often_as_the_lexicon_has_them():
    counts = Counter(texts(make(['aa', 'aa', 'b', 'c'], num_images=4000, **CASELESS)))
    for word, share in dict(aa=0.5, b=0.25, c=0.25).items():
        assert counts[word] / 4000 == pytest.approx(share, abs=0.03)


def test_letter_cases_have_their_shares():
    shares = dict(keep=1, lower=2, upper=3, capitalized=4)
    counts = Counter(
        texts(make(['aBc'], letter_case=shares, random_share=0, punctuation=0, num_images=4000))
    )
    for word, share in dict(aBc=0.1, abc=0.2, ABC=0.3, Abc=0.4).items():
        assert counts[word] / 4000 == pytest.approx(share, abs=0.03)


def test_marks_that_the_recognizer_lacks_are_drawn_and_not_labelled(dict_file):
    options = dict(letter_case=dict(keep=1), random_share=0, punctuation=0.25, num_images=2000)
    dataset = make(['total', '1250'], dict_file=dict_file('toalTOAL0125'), **options)
    found = Counter(dataset._draw_text(i)[:2] for i in range(2000))
    assert {label for _, label in found} == {'total', '1250'}
    marked = {drawn: n for (drawn, label), n in found.items() if drawn != label}
    assert sum(marked.values()) / 2000 == pytest.approx(0.25, abs=0.03)
    assert {'(total', 'total:', '(total)', '12.50', '1250,'} <= set(marked)
    assert marked['12.50'] > 40
    assert {''.join(filter(str.isalnum, text)) for text in marked} == {'total', '1250'}
    # Those that it has are labelled, but for a label that would be too long.
    dataset = make(['total'], dict_file=dict_file('toal:'), max_length=6, **options)
    labels = set(texts(dataset))
    assert labels == {'total', 'total:'}
    assert set(texts(make(['total'], max_length=5, **options))) == {'total'}


def test_a_font_without_the_mark_draws_the_word_alone(tmp_path):
    font = make_font(tmp_path / 'font.ttf', 'Some', 'ab')
    dataset = make(['ab'], fonts=font, letter_case=dict(keep=1), random_share=0, punctuation=1)
    assert set(texts(dataset)) == {'ab'}


def test_random_strings_bring_the_rest_of_the_alphabet(dict_file):
    alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789'
    options = dict(
        dict_file=dict_file(alphabet), num_images=2000, letter_case=dict(keep=1), punctuation=0
    )
    listed = make(['abc'], random_share=0, **options)
    assert set(texts(listed)) == {'abc'}
    mixed = texts(make(['abc'], random_share=0.25, **options))
    assert sum(text == 'abc' for text in mixed) / 2000 == pytest.approx(0.75, abs=0.04)
    assert set(''.join(mixed)) == set(alphabet)
    only = texts(make(None, **options))
    assert set(''.join(only)) == set(alphabet) and len(set(only)) > 1500
    assert 4 < np.mean(list(map(len, only))) < 6


def test_ngrams_of_a_lexicon_make_other_words_of_its_characters_and_lengths():
    words = ['total', 'toast', 'stall']
    made = texts(make(words, ngrams=2, num_images=300, **CASELESS))
    pairs = {word[i : i + 2] for word in words for i in range(4)}
    assert {word[i : i + 2] for word in made for i in range(4)} <= pairs
    assert {len(word) for word in made} == {5} and set(made) - set(words)


def test_words_outside_the_alphabet_are_counted_and_never_drawn(dict_file, logged):
    words = ['abc', 'caf\u00e9', 'na\u00efve', '\u00e9', 'bad', 'a' * 26, 'x y']
    dataset = make(words, dict_file=dict_file('abcdefx'), **CASELESS)
    assert set(texts(dataset)) == {'abc', 'bad'}
    (line,) = logged
    assert line.startswith('the lexicon: 2 of 7 words can be used; 4 have characters outside ')
    assert "'\u00e9' (U+00E9) in 2" in line and "' ' (U+0020) in 1" in line
    assert line.endswith('; 1 are longer than max_length=25')
    with pytest.raises(ValueError, match='words in the alphabet of the recognizer.*0 of 1 words'):
        make(['zebra'], dict_file=dict_file('abc'))


def test_the_unicode_form_is_that_of_the_alphabet(dict_file):
    dictionary = dict_file('caf\u00e9')
    with pytest.raises(ValueError, match='0 of 1 words'):
        make(['cafe\u0301'], dict_file=dictionary)
    dataset = make(['cafe\u0301'], dict_file=dictionary, unicode_form='NFC', **CASELESS)
    assert set(texts(dataset)) == {'caf\u00e9'}


@pytest.mark.parametrize(
    'head, encoding',
    [(b'', 'utf-8'), (codecs.BOM_UTF8, 'utf-8'), (codecs.BOM_UTF16_LE, 'utf-16-le')],
)
def test_a_lexicon_is_a_text_file_with_or_without_a_byte_order_mark(tmp_path, head, encoding):
    path = tmp_path / 'words.txt'
    path.write_bytes(head + '\u00fcber\r\n\r\n  zwei \t W\u00f6rter \n'.encode(encoding))
    assert set(texts(make(str(path), **CASELESS))) == {'\u00fcber', 'zwei W\u00f6rter'}


def test_what_is_no_lexicon_is_an_error(tmp_path):
    (tmp_path / 'empty.txt').write_text('\n \n')
    (tmp_path / 'latin.txt').write_bytes('a\n\u00fcber'.encode('latin-1'))
    for lexicon, message in (
        (str(tmp_path / 'none.txt'), 'an existing text file, got .*none.txt'),
        (str(tmp_path / 'empty.txt'), 'got no word in the lexicon .*empty.txt'),
        (str(tmp_path / 'latin.txt'), 'in UTF-8, got other bytes in line 2'),
        ([], 'lexicon must have one text at least'),
        (['a', 5], 'a list of texts, got 5 in it'),
    ):
        with pytest.raises(ValueError, match=message):
            make(lexicon)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(lexicon=None), 'needs a lexicon or a dict_file, got none'),
        (dict(lexicon=None, dict_file='d', ngrams=2), 'ngrams needs a lexicon'),
        (dict(num_images=0), 'num_images must be an integer of at least 1'),
        (dict(seed=-1), 'seed must be'),
        (dict(ngrams=0), 'ngrams must be'),
        (dict(random_share=1.1), 'random_share must be'),
        (dict(punctuation=-0.1), 'punctuation must be'),
        (dict(cropped=-0.1), 'cropped must be'),
        (dict(min_contrast=128), 'min_contrast must be .* at most 127'),
        (dict(sizes=(32, 16)), r'sizes must be .* got \(32, 16\)'),
        (dict(letter_case=dict(title=1)), "needs shares of keep, lower, .* got {'title': 1}"),
        (dict(letter_case=dict(keep=0)), 'letter_case needs'),
        (dict(fonts='nowhere'), "existing files or folders, got 'nowhere'"),
        (dict(backgrounds='nowhere'), 'backgrounds must be folders with images, got nowhere'),
        (dict(unicode_form='NF'), 'unicode_form must be'),
    ],
)
def test_wrong_options_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_a_character_is_drawn_in_fonts_that_have_it(tmp_path, monkeypatch):
    latin = make_font(tmp_path / 'latin.ttf', 'Latin', 'ab')
    korean = make_font(tmp_path / 'korean.ttf', 'Korean', 'b\ud55c\uae00')
    fonts = []
    monkeypatch.setattr(
        rendered_words,
        'draw_word',
        lambda text, font, *_: fonts.append((text, font)) or np.zeros((9, 9, 3), np.uint8),
    )
    dataset = make(['ab', '\ud55cb', 'b'], fonts=[latin, korean], **CASELESS)
    for i in range(40):
        dataset[i]
    assert set(fonts) == {('ab', latin), ('\ud55cb', korean), ('b', latin), ('b', korean)}


def test_random_strings_have_characters_of_one_font(tmp_path, dict_file):
    fonts = [
        make_font(tmp_path / f'{name}.ttf', name, characters)
        for name, characters in (('Latin', 'ab'), ('Korean', '\ud55c\uae00'))
    ]
    made = texts(make(None, dict_file=dict_file('ab\ud55c\uae00'), fonts=fonts))
    assert set(''.join(made)) == set('ab\ud55c\uae00')
    assert all(set(word) <= set('ab') or not set(word) & set('ab') for word in made)


def test_characters_that_no_font_has_are_an_error_before_training(tmp_path, dict_file, logged):
    options = dict(fonts=make_font(tmp_path / 'font.ttf', 'Some', 'ab'), **CASELESS)
    with pytest.raises(ValueError, match=r"no font has '\u0416' \(U\+0416\); 1 of 2 words remain"):
        make(['ab', '\u0416'], **options)
    assert set(texts(make(['ab', '\u0416'], skip_unusable=True, **options))) == {'ab'}
    assert logged[-1].startswith("no font has '\u0416'")
    dictionary = dict_file('abc')
    with pytest.raises(ValueError, match=r"'c' \(U\+0063\); 2 of 3 characters remain"):
        make(None, dict_file=dictionary, **options)
    strings = texts(make(None, dict_file=dictionary, skip_unusable=True, **options))
    assert set(''.join(strings)) == {'a', 'b'}
    with pytest.raises(ValueError, match='0 of 1 words remain'):
        make(['b\u0416'], skip_unusable=True, **options)
    with pytest.raises(ValueError, match='must have some of the characters .*, got 1 fonts'):
        make(['\u0416'], **options)


def test_words_of_several_fonts_are_an_error_or_left_out(tmp_path):
    fonts = [make_font(tmp_path / f'{char}.ttf', char, char) for char in 'ab']
    options = dict(fonts=fonts, **CASELESS)
    with pytest.raises(ValueError, match='no single font .* 2 of 3 words remain'):
        make(['a', 'b', 'ab'], **options)
    assert set(texts(make(['a', 'b', 'ab'], skip_unusable=True, **options))) == {'a', 'b'}


def test_a_case_that_no_font_has_is_not_drawn(tmp_path):
    fonts = make_font(tmp_path / 'font.ttf', 'Some', 'ab')
    shares = dict(upper=1)
    drawn = texts(make(['ab'], fonts=fonts, letter_case=shares, random_share=0.5, punctuation=0))
    assert 'ab' in drawn and set(''.join(drawn)) == {'a', 'b'}
    assert set(texts(make(['ab'], letter_case=shares, random_share=0, punctuation=0))) == {'AB'}


def test_the_installed_fonts_have_every_character_of_english():
    alphabet = Path(__file__).parents[2] / 'configs/_base_/dicts/english_95.txt'
    dataset = make(None, dict_file=str(alphabet), fonts=None)
    files = [file for has, files in dataset.font_groups if len(has) > 90 for file in files]
    assert len(files) > 20
    # No signs of TeX, and no boxes of the last resort.
    assert not any(Path(file).stem.startswith(('cm', 'LastResort')) for file in files)


def test_images_are_loaded_as_the_pipeline_says():
    grey, color = (
        make(pipeline=[dict(PIPELINE[0], color_type=kind)])[3]['img']
        for kind in ('grayscale', 'color')
    )
    assert grey.ndim == 2 and color.ndim == 3 and color.dtype == np.uint8
    assert np.abs(cv2.cvtColor(color, cv2.COLOR_BGR2GRAY).astype(int) - grey).max() <= 1


def two_domains(tmp_path):
    for i in range(5):
        cv2.imwrite(str(tmp_path / f'{i}.png'), np.full((8, 20, 3), 40 * i, np.uint8))
    return DATASETS.build(
        dict(
            type='mmocr_da.TwoDomainDataset',
            source=dict(type='mmocr_da.RenderedWords', lexicon=LEXICON, fonts=FONTS, num_images=50),
            target=dict(type='mmocr_da.UnlabelledDataset', img_dir=str(tmp_path), pipeline=None),
            pipeline=PIPELINE,
        )
    )


def batches(dataset, skip=0, count=5, workers=0):
    sampler = TwoDomainSampler(dataset, batch_size=4, seed=1)
    sampler.skip(skip)
    loader = iter(
        DataLoader(dataset, 4, sampler=sampler, num_workers=workers, collate_fn=pseudo_collate)
    )
    return [
        [
            (image.numpy().tobytes(), sample.gt_text.item, sample.domain)
            for image, sample in zip(batch['inputs'], batch['data_samples'])
        ]
        for batch, _ in zip(loader, range(count))
    ]


def test_it_is_the_source_of_two_domains_also_after_a_resume(tmp_path):
    dataset = two_domains(tmp_path)
    assert dataset.domain_sizes == (50, 5)
    expected = batches(dataset)
    for batch in expected:
        assert [domain for *_, domain in batch].count('source') == 2
        assert all(bool(text) == (domain == 'source') for _, text, domain in batch)
    assert batches(two_domains(tmp_path), skip=3, count=2, workers=1) == expected[3:]


def test_an_index_outside_is_an_error():
    dataset = make()
    assert len(dataset) == 40
    for index in (40, -41):
        with pytest.raises(IndexError, match='40 images, got index'):
            dataset[index]
