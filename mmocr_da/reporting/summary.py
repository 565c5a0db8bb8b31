"""The first words of a page: what changed, whether it is healthy, what to do next."""

import re
from collections.abc import Sequence

from mmocr_da.domains import DOMAINS
from mmocr_da.engine.scalars import Curves
from mmocr_da.evaluation import PredictionChange
from mmocr_da.visualization.adaptation_page import change_summary
from mmocr_da.visualization.page import Block, Literal, Notes, Paragraph, Text

from .health import findings, is_measured
from .run_folder import RunFolder

#: What the scalars of validations are that say most, by the end of their names. The first kind
#: that was logged is in the summary.
METRICS = {
    r'(^|/)word_acc(uracy)?_ignore_case_symbol$': 'Word accuracy, without letter case and symbols',
    r'(^|/)wer$': 'Word error rate (lower is better)',
    r'(^|/)cer$': 'Character error rate (lower is better)',
    r'(^|/)hmean$': 'Hmean of boxes',
}


def summary(
    run: RunFolder, change: PredictionChange | None, missing: Sequence[str]
) -> dict[str, list[Block]]:
    """Answer the questions that a user comes with.

    Args:
        run: What the work directory has.
        change: Predictions before and after, if they are known.
        missing: What is not on the page.
    """
    answers: dict[str, list[Block]] = {
        'What changed?': _changed(run, change),
        'Is it healthy?': _healthy(run, change),
        'What to do next?': [Notes(_next(run, change))],
    }
    if missing:
        answers['What is missing?'] = [Notes(missing)]
    return answers


def _changed(run: RunFolder, change: PredictionChange | None) -> list[Block]:
    blocks = [] if change is None else change_summary(change)['What changed?']
    blocks += _validations(run.curves)
    if not blocks:
        done = f'{run.last_iteration:,} iterations were logged.'
        blocks.append(Paragraph(f'{done} There are no predictions before and after to compare.'))
    return blocks


def _validations(curves: Curves) -> list[Block]:
    for pattern, what in METRICS.items():
        names = [n for n in curves if re.search(pattern, n) and not n.startswith('health/')]
        items: list[Text] = []
        for name in sorted(name for name in names if curves[name]):
            values = [curves[name][step] for step in sorted(curves[name])]
            first = f'{values[0]:.3f} at first, ' if len(values) > 1 else ''
            domain = name.partition('/')[0] if '/' in name else ''
            whose = [f'{domain}: '] if domain in DOMAINS else [Literal(name), ': ']
            items.append([*whose, f'{first}{values[-1]:.3f} in the end'])
        if items:
            return [Paragraph(f'{what}, in validations:'), Notes(items)]
    return []


def _healthy(run: RunFolder, change: PredictionChange | None) -> list[Block]:
    found: list[Text] = [] if change is None else [*change.warnings()]
    faults = findings(run)
    if faults:
        found.append(f'{len(faults)} faults were found during training, see Health below.')
    if found:
        return [Notes(found, 'bad')]
    if is_measured(run.curves) or change is not None:
        return [Notes(['No fault was found. It can still be worse: only labels tell.'], 'good')]
    return [
        Paragraph(
            [
                'It was not measured: the run had no ',
                Literal('mmocr_da.HealthHook'),
                ', and no predictions are compared.',
            ]
        )
    ]


def _next(run: RunFolder, change: PredictionChange | None) -> list[Text]:
    steps: list[Text] = []
    if run.unfinished:
        resume = ['Go on with the training: ', run.unfinished, '. The same command with ']
        steps.append([*resume, Literal('--resume'), ' does so (tools/adapt.py needs no option).'])
    if findings(run):
        steps.append('Read the faults under Health: each names the setting to change.')
    if change is not None and change.scores is None:
        steps.append('Label 200 or more images of the target, drawn at random, to measure.')
    if change is not None and change.scores is not None:
        difference = change.scores.accuracy_difference
        if difference.low > 0:
            steps.append('The gain is more than chance on these images: use the result.')
        elif difference.high < 0:
            steps.append('Keep the earlier recognizer, and change the training.')
        else:
            steps.append('Label more images: these do not tell which recognizer is better.')
    if run.checkpoints and not run.exported and not run.unfinished:
        steps.append('Export the result; the command is under Export and cost.')
    if not steps:
        steps.append('Look at the images and the curves below.')
    return steps
