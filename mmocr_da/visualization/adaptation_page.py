"""Sections about what an adaptation changed in the predictions, and a page of them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mmocr_da.datasets.image_loading import load_image
from mmocr_da.evaluation import Estimate, PredictionChange
from mmocr_da.outputs import check_outputs, output_file

from .page import Block, Command, Literal, Notes, Page, Paragraph, Section, Sheet, Table, Text
from .sheet import FAINT, NEW, OLD, Cell, Line, differing, marked

PAGE = 'adaptation.html'

#: From the index of an image to the image, RGB.
Loader = Callable[[int], NDArray[Any]]


def check_page(folder: str, by: str = 'adapt') -> None:
    """Check that the page can be written, before the time for it is spent.

    Raises:
        ValueError: If the place cannot be used, or a file there is not of ``by``.
    """
    check_outputs([Path(folder, PAGE)], by)


def write_page(
    folder: str,
    change: PredictionChange,
    commands: Mapping[str, str] | None = None,
    title: str = 'What the adaptation changed',
    num_images: int = 24,
    load: Loader | None = None,
    by: str = 'adapt',
) -> str:
    """Write ``adaptation.html``, a page about two recognizers.

    Args:
        folder: Where to; it is made if it does not exist.
        change: The predictions before and after.
        commands: What a user can do next: shell commands by what they do.
        title: Of the page.
        num_images, load: See :func:`change_sections`.
        by: The writer; only files that it wrote before are replaced.

    Returns:
        The page as Markdown and without pictures, for the terminal.
    """
    check_page(folder, by)
    sections = change_sections(change, num_images, load)
    if commands:
        sections.append(command_section(commands))
    page = Page(title, sections, change_summary(change))
    with output_file(Path(folder, PAGE), by) as path:
        path.write_text(page.html(), encoding='utf-8')
    return page.markdown()


def change_summary(change: PredictionChange) -> dict[str, list[Block]]:
    """Answer what changed, and whether something looks wrong."""
    scores = change.scores
    blocks: list[Block] = []
    if scores is not None:
        blocks.append(
            Paragraph(
                f'Word accuracy on {scores.num:,} labelled images, in percent: '
                f'{100 * scores.accuracy_before.value:.1f} before, '
                f'{100 * scores.accuracy_after.value:.1f} after. Difference, with its 95 % '
                f'interval: {_percent(scores.accuracy_difference, "+.1f")}.'
            )
        )
    blocks.append(
        Paragraph(
            f'{len(change.changed):,} of {len(change.paths):,} predictions changed '
            f'({100 * change.changed_share:.1f} %)'
            + ('.' if scores else '. Without labels, nobody can say whether for the better.')
        )
    )
    found = change.warnings()
    wrong: Block = Paragraph('No sign of harm in the predictions.')
    return {
        'What changed?': blocks,
        'Look at this first': [Notes(found, 'bad') if found else wrong],
    }


def change_sections(
    change: PredictionChange, num_images: int = 24, load: Loader | None = None
) -> list[Section]:
    """Make the sections: numbers with labels, numbers without, and images that differ.

    Args:
        change: The predictions before and after.
        num_images: Images on each sheet, at most; 0 leaves the sheets out. Half of those that
            differ are the ones whose confidence rose most, the others are drawn at random.
        load: Returns the image of an index, RGB; None loads the file ``change.paths[index]``.
    """
    draw = _Drawer(change, num_images, load or _from_files(change))
    return [
        *(_labelled(change, draw) if change.scores else []),
        _unlabelled(change),
        *_differences(change, draw),
    ]


def command_section(commands: Mapping[str, str], heading: str = 'Use the result') -> Section:
    """Make the section of commands, by what they do."""
    return Section(heading, [Command(what, command) for what, command in commands.items()])


class _Drawer:
    """Makes the sheets of a page."""

    def __init__(self, change: PredictionChange, num: int, load: Loader) -> None:
        self.change, self.num, self.load = change, num, load

    def __call__(
        self, groups: Mapping[str, list[int]], lines: Callable[[int], list[Line]]
    ) -> Sheet:
        """Load the images of groups, with their lines."""
        return Sheet(
            {
                heading: [Cell(self.load(i), lines(i)) for i in indexes]
                for heading, indexes in groups.items()
            }
        )

    def differences(self, i: int) -> list[Line]:
        """Lines of an image without a label: characters that changed are coloured."""
        before, after = self.change.before.texts[i], self.change.after.texts[i]
        notes = [_confidence(p.confidences, i) for p in (self.change.before, self.change.after)]
        return [
            Line('before', differing(before, after, OLD), FAINT, notes[0]),
            Line('after', differing(after, before, NEW), note=notes[1]),
        ]

    def judged(self, i: int) -> list[Line]:
        """Lines of an image with a label: characters that are wrong are coloured."""
        label = str((self.change.labels or ())[i])
        lines = [Line('ground truth', [(label, None)])]
        for name, predictions in (('before', self.change.before), ('after', self.change.after)):
            text = predictions.texts[i]
            right = self.change.normalized(text) == self.change.normalized(label)
            ignore_case = self.change.options['ignore_case']
            parts = None if right else differing(text, label, OLD, ignore_case)
            lines.append(marked(name, text, right, parts))
        return lines


def _from_files(change: PredictionChange) -> Loader:
    return lambda i: load_image(change.paths[i])[..., ::-1]


def _labelled(change: PredictionChange, draw: _Drawer) -> list[Section]:
    scores = change.scores
    assert scores is not None
    rows: list[list[Text]] = [['', 'before', 'after', 'difference']]
    for name, before, after, difference in (
        (
            'word accuracy',
            scores.accuracy_before,
            scores.accuracy_after,
            scores.accuracy_difference,
        ),
        ('CER', scores.cer_before, scores.cer_after, scores.cer_difference),
    ):
        rows.append([name, _percent(before), _percent(after), _percent(difference, '+.1f')])
    ignored = [
        name
        for option, name in (('ignore_case', 'letter case'), ('ignore_symbols', 'symbols'))
        if change.options[option]
    ]
    fixed, broken = len(change.fixed), len(change.broken)
    blocks: list[Block] = [
        Paragraph(
            f'{scores.num:,} of {len(change.paths):,} images have a label. In percent, with 95 % '
            f'intervals (bootstrap over the images)'
            + (f'; {" and ".join(ignored)} ignored:' if ignored else ':')
        ),
        Table(rows),
        Paragraph(
            f'{fixed:,} words were wrong and are right now; {broken:,} were right and are wrong '
            'now. The interval of the difference is of the same images for both recognizers: where '
            'it does not contain 0, the difference is more than chance. It holds for images like '
            'these only. A higher word accuracy is better, a lower character error rate (CER) is '
            'better.'
        ),
    ]
    half = max(draw.num // 2, 1)
    groups = {
        f'{name}: {_how_many(half, len(indexes))}': change.drawn(indexes, half)
        for name, indexes in (('Fixed', change.fixed), ('Broken', change.broken))
        if indexes
    }
    if groups and draw.num:
        blocks.append(draw(groups, draw.judged))
        blocks.append(
            Paragraph('Coloured: characters that are not in the ground truth at this place.')
        )
    return [Section('Before and after: labelled images', blocks)]


def _unlabelled(change: PredictionChange) -> Section:
    before, after = change.before_statistics, change.after_statistics
    rows: list[list[Text]] = [['', 'before', 'after', 'what it tells']]
    if before.confidence is not None and after.confidence is not None:
        rows.append(
            [
                'mean confidence, %',
                f'{100 * before.confidence:.1f}',
                f'{100 * after.confidence:.1f}',
                'how sure the recognizer is, not how right: training raises it by itself',
            ]
        )
    rows += [
        [
            'characters per prediction',
            f'{before.length:.2f}',
            f'{after.length:.2f}',
            'should be near the length of the words that you see; a fall means lost characters',
        ],
        [
            'empty, %',
            f'{100 * before.empty:.1f}',
            f'{100 * after.empty:.1f}',
            'less is better, if all images show text',
        ],
        [
            'symbols only, or one character repeated, %',
            f'{100 * before.odd:.1f}',
            f'{100 * after.odd:.1f}',
            'rarely a word: less is better, unless the images show such',
        ],
        [
            'distinct predictions',
            f'{before.distinct:,}',
            f'{after.distinct:,}',
            'a strong fall means that different images are given the same text',
        ],
    ]
    if before.in_lexicon is not None and after.in_lexicon is not None:
        rows.append(
            [
                'words of the lexicon, %',
                f'{100 * before.in_lexicon:.1f}',
                f'{100 * after.in_lexicon:.1f}',
                'more is better, if the images show its words; wrong words of it count, too',
            ]
        )
    num, changed = len(change.paths), len(change.changed)
    frequent: list[list[Text]] = [['', 'most frequent predictions (number of images)']]
    for name, statistics in (('before', before), ('after', after)):
        frequent.append([name, _counted(statistics.most_frequent) or 'all are empty'])
    return Section(
        'Before and after: all images',
        [
            Paragraph(
                f'{changed:,} of {num:,} predictions changed ({100 * change.changed_share:.1f} %). '
                'This says how much the adaptation did, not whether it helped.'
            ),
            Table(rows),
            Table(frequent),
            Paragraph(
                'None of these numbers is an accuracy: they show what went wrong, and cannot show '
                'that all went well. Label 200 or more images, drawn at random, to know.'
            ),
        ],
    )


def _differences(change: PredictionChange, draw: _Drawer) -> list[Section]:
    if not change.changed or not draw.num:
        return []
    gained = change.gained(draw.num // 2)
    rest = sorted({*change.changed} - {*gained})
    drawn = change.drawn(rest, draw.num - len(gained))
    groups = {}
    if gained:
        rose = f'{len(gained):,} of {len(change.changed):,} that changed'
        groups[f'Greatest rise of confidence: {rose}'] = gained
    if drawn:
        others = 'Others that changed' if gained else 'Images that changed'
        groups[f'{others}: {_how_many(len(drawn), len(rest))}'] = drawn
    caption = 'Coloured: characters that the other prediction does not have at this place.'
    if gained:
        caption += (
            ' In percent: the confidence. Where it rose most, the adapted recognizer has become '
            'sure, of right or wrong texts'
            + ('; only images drawn at random are typical of what changed.' if drawn else '.')
        )
    return [
        Section(
            'Before and after: images that differ',
            [draw(groups, draw.differences), Paragraph(caption)],
        )
    ]


def _counted(words: Sequence[tuple[str, int]]) -> list[str]:
    found: list[str] = []
    for i, (text, count) in enumerate(words):
        found += [*([', '] if i else []), Literal(text), f' ({count:,})']
    return found


def _percent(estimate: Estimate, spec: str = '.1f') -> str:
    return format(Estimate(*(100 * number for number in estimate)), spec)


def _how_many(shown: int, num: int) -> str:
    return f'{shown:,} of {num:,}, at random' if shown < num else f'all {num:,}'


def _confidence(confidences: Any, i: int) -> str:
    known = confidences is not None and confidences[i] == confidences[i]  # not NaN
    return f'{100 * confidences[i]:.0f} %' if known else ''
