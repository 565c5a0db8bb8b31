"""The section about the health of an adaptation: measures, findings, and warnings of the log."""

from collections.abc import Sequence

from mmocr_da.engine.health.report import is_warning
from mmocr_da.engine.scalars import Curves
from mmocr_da.visualization import curves_figure
from mmocr_da.visualization.page import (
    Block,
    Literal,
    Notes,
    Paragraph,
    Picture,
    Pictures,
    Section,
    Table,
    Text,
)

from .run_folder import RunFolder

#: Scalars of ``mmocr_da.HealthHook`` are ``health/<what>/<measure>``.
PREFIX = 'health/'
#: What a measure tells, by its name; others are shown without a word.
MEASURES = {
    'domain_accuracy': 'how well the discriminator tells the domains apart: 0.5 not at all, 1 '
    'always',
    'a_distance': 'the same as a distance (proxy A-distance): 0 alike, 2 wholly different',
    'probe_accuracy': 'how well a new classifier tells the domains apart by the same features; it '
    'nearly always can, and should not get better at it',
    'probe_a_distance': 'the same as a distance: 0 alike, 2 wholly different',
    'gradient_ratio': 'size of the pull of this objective, as a share of that of the labels',
    'weight': 'how much the objective counts',
    'gate_source': 'share of the source characters that are aligned',
    'gate_target': 'share of the target characters that are aligned',
    'kept': 'share of the predictions that serve as labels',
    'confidence': 'how sure it is of its predictions, which is not how right',
    'agreement': 'how often teacher and student predict the same',
    'length': 'characters per prediction; should be near that of the words that you see',
    'empty': 'share of empty predictions: less is better if all images show text',
    'distinct_words': 'different predictions; a strong fall means the same text for many images',
    'word_accuracy': 'share of right words of the source; a strong fall means that it is forgotten',
    'error': 'mean error of the learned surrogate of the metric',
    'estimate': 'what the learned surrogate says about the predictions',
    'metric': 'what the metric itself says about the predictions',
}
#: Measures that only explain others.
HIDDEN = ('highest_weight', 'images', 'batches', 'words')


def findings(run: RunFolder) -> list[str]:
    """Faults that the hook has warned of."""
    return [warning for warning in run.warnings if is_warning(warning)]


def is_measured(curves: Curves) -> bool:
    """Whether the hook was in the run."""
    return any(name.startswith(PREFIX) for name in curves)


def health_section(run: RunFolder) -> list[Section]:
    """Make the section; nothing if there is neither a measure nor a warning."""
    found = findings(run)
    others = [warning for warning in run.warnings if warning not in found]
    blocks: list[Block] = []
    if found:
        blocks += [Paragraph('Faults that were found during training:'), Notes(found, 'bad')]
    elif is_measured(run.curves):
        good = 'No fault was found at the measurements during training.'
        blocks.append(Notes([good + ' A run without a fault can still be worse.'], 'good'))
    if is_measured(run.curves):
        blocks += _measured(run.curves)
    if others:
        what = 'Other warnings' if blocks else 'Warnings'
        blocks += [Paragraph(f'{what} in the log:'), Notes(others)]
    return [Section('Health', blocks)] if blocks else []


def _measured(curves: Curves) -> list[Block]:
    names = [n for n in curves if n.startswith(PREFIX) and n.count('/') == 2 and curves[n]]
    names = [n for n in names if n.rpartition('/')[2] not in HIDDEN]
    rows: list[Sequence[Text]] = [['', 'first', 'last', 'what it tells']]
    for name in sorted(names):
        _, what, measure = name.split('/')
        steps = sorted(curves[name])
        first, last = (f'{curves[name][step]:.3g}' for step in (steps[0], steps[-1]))
        label = [Literal(what), f' {measure.replace("_", " ")}']
        rows.append([label, first, last, MEASURES.get(measure, '')])
    about = (
        'Measured on a fixed selection of images of both domains at the start and at each '
        'validation, without labels of the target.'
    )
    pictures = []
    for measure in dict.fromkeys(name.rpartition('/')[2] for name in sorted(names)):
        group = [n for n in names if n.endswith(f'/{measure}') and len(curves[n]) > 1]
        if group:
            title = measure.replace('_', ' ')
            shown = {name.split('/')[1]: curves[name] for name in group}
            figure = curves_figure({'': shown}, panels={title: ''})
            pictures.append(
                Picture.of(figure, f'Curves of the {title} of {", ".join(shown)} over iterations')
            )
    blocks: list[Block] = [Paragraph(about), Table(rows)]
    return blocks + ([Pictures(pictures)] if pictures else [])
