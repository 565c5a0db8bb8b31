"""Makes the page about a run from what its work directory has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmocr_da.arguments import check_count
from mmocr_da.evaluation import PredictionChange
from mmocr_da.outputs import check_outputs, output_file
from mmocr_da.visualization import Page, Section, change_sections
from mmocr_da.visualization.adaptation_page import Loader, command_section
from mmocr_da.visualization.page import Picture, Pictures

from .configs import config_section
from .data import data_section
from .health import health_section
from .models import Recognizers
from .run_folder import VIEWS, RunFolder
from .summary import summary
from .training import cost_section, curve_section, label_free_section

#: The writer of pages, see :mod:`mmocr_da.outputs`, and their name in a work directory.
BY, PAGE = 'tools/report.py', 'report.html'
#: Test images of which predictions are compared, by default.
COMPARED = 200
#: Images on a sheet.
ON_SHEET = 24


@dataclass
class _Sections:
    """Sections so far, and sentences about those that could not be made."""

    found: list[Section] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def add(self, what: str, make: Callable[[], Section | list[Section]]) -> None:
        """Add the sections that ``make`` returns, or say why there are none."""
        try:
            made = make()
        # A page is made of what is there: one part that is lost or broken must not cost the others.
        except Exception as error:
            reason = ' '.join(str(error).split()) or type(error).__name__
            self.missing.append(f'{what}: {reason}')
            return
        self.found += made if isinstance(made, list) else [made]


def run_page(
    run: RunFolder,
    title: str,
    change: PredictionChange | None = None,
    load: Loader | None = None,
    commands: Mapping[str, str] | None = None,
    config: str | None = None,
    extra: Callable[[_Sections], PredictionChange | None] | None = None,
) -> Page:
    """Make the page of a run.

    Args:
        run: What its work directory has.
        title: Of the page.
        change: Predictions before and after, if they are known.
        load: Returns the image of an index of ``change``, see
            :func:`~mmocr_da.visualization.change_sections`.
        commands: What a user can do next: shell commands by what they do.
        config: The config as the user wrote it; None to look for it.
        extra: Adds sections that take a model, and returns the change of predictions.
    """
    sections = _Sections(missing=list(run.missing))
    if extra is not None:
        change = extra(sections)
    elif change is not None:
        known = change
        sections.add('Predictions', lambda: change_sections(known, ON_SHEET, load))
    sections.add('Health', lambda: health_section(run))
    sections.add('Curves', lambda: curve_section(run))
    sections.add('Scores without labels', lambda: label_free_section(run))
    sections.add('Cost', lambda: cost_section(run))
    if run.cfg is not None:
        cfg, written = run.cfg, config or run.written_config or run.config_name
        sections.add('The diff of the config', lambda: config_section(cfg, written))
    if commands:
        sections.found.append(command_section(commands))
    return Page(title, sections.found, summary(run, change, sections.missing))


def report(
    path: str,
    num_images: int = COMPARED,
    config: str | None = None,
    seed: int = 0,
    device: str = 'cpu',
) -> Page:
    """Make the page of the run in a work directory, with all that it has.

    Args:
        path: The work directory, of ``tools/train.py`` or ``tools/adapt.py``.
        num_images: Test images of which predictions are compared; 0 leaves out all that needs the
            model.
        config: The config as the user wrote it; None to look for it.
        seed: Which images are drawn.
        device: Where to compute.

    Raises:
        ValueError: If it is no work directory.
    """
    check_count('num_images', num_images, least=0)
    run = RunFolder.read(path)
    if not run.has_started:
        raise ValueError(
            'a run must be the work directory of a training, with folders <time>/vis_data/ or '
            f'checkpoints, got {path}, which has neither'
        )

    def extra(sections: _Sections) -> PredictionChange | None:
        if run.cfg is None:
            return None
        cfg = run.cfg
        sections.add('The data', lambda: data_section(cfg, seed))
        if (run.path / VIEWS).is_file():
            sections.add('The views', lambda: _views(run.path / VIEWS))
        if run.result is None or not num_images:
            return None
        return _of_models(run, sections, num_images, seed, device)

    return run_page(run, f'Training {run.name}', config=config, extra=extra)


def write_report(page: Page, out_file: str) -> None:
    """Write a page; only a file that a report wrote before is replaced.

    Raises:
        ValueError: If it would replace another one.
    """
    with output_file(out_file, BY) as path:
        path.write_text(page.html(), encoding='utf-8')


def check_report(out_file: str) -> None:
    """Check that a page can be written, before it is computed.

    Raises:
        ValueError: If it would replace another file.
    """
    if Path(out_file).suffix != '.html':
        raise ValueError(f'the page must be a file that ends in .html, got {out_file}')
    check_outputs([out_file], BY)


def _views(file: Path) -> Section:
    picture = Picture.read(file, 'Source images, and what teacher and student see of the target')
    return Section('What the training sees', [Pictures([picture], wide=True)])


def _of_models(
    run: RunFolder, sections: _Sections, num: int, seed: int, device: str
) -> PredictionChange | None:
    """Add the sections that take the models."""
    assert run.cfg is not None
    start = run.start
    if start is not None and not Path(start).is_file():
        sections.missing.append(f'The checkpoint that the training started from is gone: {start}')
        start = None
    found: list[Recognizers] = []

    def load() -> list[Section]:
        after = str(run.result)
        found.append(Recognizers.load(run.cfg, start, after, num, seed, device))
        return []

    sections.add('Predictions, features and attention', load)
    if not found:
        return None
    (models,) = found
    changes: list[PredictionChange] = []

    def compare() -> list[Section]:
        changes.append(models.change(seed))
        return change_sections(changes[0], ON_SHEET, models.picture)

    sections.add('Predictions before and after', compare)
    sections.add('Features of both domains', lambda: models.embedding_section(seed))
    chosen = changes[0].changed if changes else []
    shown = chosen or list(range(len(models.items)))
    sections.add('Where the recognizer looks', lambda: models.attention_section(shown))
    return changes[0] if changes else None
