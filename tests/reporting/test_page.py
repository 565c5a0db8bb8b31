"""The page of a run has what the run has, and says what is missing."""

import shutil

import pytest
from helpers.pages import Page as Parsed
from mmengine.config import Config

from mmocr_da.reporting import check_report, report, write_report
from mmocr_da.reporting.data import data_parts, data_section
from mmocr_da.visualization.page import Sheet, Table


@pytest.fixture(scope='module')
def whole(adapted, toy, tmp_path_factory):
    config = tmp_path_factory.mktemp('config') / 'mine.py'
    config.write_text(f"_base_ = '{toy}'\nrandomness = dict(seed=2)\n")
    return report(str(adapted), num_images=6, config=str(config))


def test_a_whole_run_has_every_section(whole):
    parsed = Parsed(whole.html())
    assert parsed.errors == [] and missing_of(whole) == []
    headings = [section.heading for section in whole.sections]
    assert headings == [
        'Data',
        'Before and after: labelled images',
        'Before and after: all images',
        'Before and after: images that differ',
        'Features of both domains',
        'Where the recognizer looks',
        *(['Health'] if 'Health' in headings else []),
        'Curves of the training',
        'Export and cost',
        'Config',
    ]
    assert list(whole.summary)[:3] == ['What changed?', 'Is it healthy?', 'What to do next?']
    assert 'of 6 predictions changed' in parsed.text


def test_the_data_of_both_domains_are_counted_and_shown(toy):
    section = data_section(Config.fromfile(str(toy)))
    table, sheet = (
        next(block for block in section.blocks if isinstance(block, kind))
        for kind in (Table, Sheet)
    )
    assert [row[:2] for row in table.rows[1:]] == [
        ['source', '6'],
        ['target', '6'],
        ['test', '12'],
    ]
    assert {name: len(cells) for name, cells in sheet.groups.items()} == dict(source=6, target=6)
    labels = [[line.parts[0][0] for line in cell.lines] for cell in sheet.groups['source']]
    assert ['12'] in labels and all(len(label) == 1 for label in labels)
    # Labels of the target are not used, and not shown.
    assert all(cell.lines == [] for cell in sheet.groups['target'])


def test_a_training_of_one_domain_has_its_data(toy):
    cfg = Config.fromfile(str(toy))
    source = cfg.train_dataloader.dataset.source
    cfg.train_dataloader.dataset = dict(
        type='ConcatDataset', datasets=source if isinstance(source, list) else [source], pipeline=[]
    )
    assert [*data_parts(cfg)] == ['training', 'test']
    assert data_section(cfg).blocks[0].rows[1][:2] == ['training', '6']


def test_data_that_are_gone_cost_only_their_sections(adapted, tmp_path):
    shutil.copytree(adapted, tmp_path / 'run')
    for config in tmp_path.glob('run/*/vis_data/config.py'):
        config.write_text(config.read_text().replace('.json', '_gone.json'))
    page = report(str(tmp_path / 'run'), num_images=4)
    missing = '\n'.join(page.summary['What is missing?'][0].items)
    assert 'The data: ' in missing and '_gone.json' in missing
    assert 'Curves of the training' in [section.heading for section in page.sections]
    assert Parsed(page.html()).errors == []


def test_a_start_that_is_gone_is_said_and_the_rest_is_shown(adapted, tmp_path):
    shutil.copytree(adapted, tmp_path / 'run')
    for config in tmp_path.glob('run/*/vis_data/config.py'):
        config.write_text(config.read_text().replace('start.pth', 'gone.pth'))
    page = report(str(tmp_path / 'run'), num_images=4)
    missing = '\n'.join(page.summary['What is missing?'][0].items)
    assert 'that the training started from is gone' in missing
    headings = [section.heading for section in page.sections]
    assert 'Where the recognizer looks' in headings
    assert not any(heading.startswith('Before and after') for heading in headings)


def test_a_run_that_has_just_begun_has_a_page(make_run):
    page = report(str(make_run()))
    parsed = Parsed(page.html())
    assert parsed.errors == [] and parsed.pictures == []
    for text in ('No scalars', 'There is no checkpoint', 'no predictions before and after'):
        assert text in parsed.text


def test_an_unfinished_run_is_to_be_resumed(make_run):
    folder = make_run(dict(loss=1.0, lr=1.0, step=20), iters=20)
    text = report(str(folder), num_images=0).markdown()
    assert 'Go on with the training: the last checkpoint is after 20 of 40' in text
    assert '`mmocr_da.HealthHook`' in text and 'Export the result' not in text


def test_faults_are_in_the_first_words(make_run):
    rows = dict(loss=1.0, lr=1.0, step=20), {'health/target/empty': 0.5, 'step': 20}
    quiet = report(str(make_run(*rows, name='quiet')), num_images=0).summary['Is it healthy?']
    assert quiet[0].level == 'good'
    folder = make_run(*rows, warnings=['At iteration 20: it fails'])
    found = report(str(folder), num_images=0).summary
    assert found['Is it healthy?'][0].level == 'bad'
    assert any('Read the faults' in str(step) for step in found['What to do next?'][0].items)


def test_validations_are_in_the_first_words(make_run):
    rows = [dict(loss=1.0, lr=1.0, step=20)]
    rows += [
        {'target/recog/cer': cer, 'target/recog/wer': 2 * cer, 'step': step}
        for cer, step in ((0.5, 20), (0.25, 40))
    ]
    paragraph, notes = report(str(make_run(*rows)), num_images=0).summary['What changed?']
    assert paragraph.text == 'Word error rate (lower is better), in validations:'
    assert [''.join(item) for item in notes.items] == ['target: 1.000 at first, 0.500 in the end']


def test_without_images_no_model_is_built(adapted, monkeypatch):
    monkeypatch.setattr('mmocr_da.reporting.models.load_plain', None)
    page = report(str(adapted), num_images=0)
    assert 'Data' in [section.heading for section in page.sections]
    assert not any('predictions' in item.lower() for item in missing_of(page))


def missing_of(page):
    return [item for block in page.summary.get('What is missing?', ()) for item in block.items]


def test_only_a_report_is_replaced(whole, tmp_path):
    out = tmp_path / 'report.html'
    for _ in range(2):
        check_report(str(out))
        write_report(whole, str(out))
    out.write_text('mine')
    with pytest.raises(ValueError, match='exists and was not written by tools/report.py'):
        check_report(str(out))
    with pytest.raises(ValueError, match='must be a file that ends in .html'):
        check_report(str(tmp_path / 'report.pdf'))


def test_a_folder_that_is_no_run_is_an_error(tmp_path):
    with pytest.raises(ValueError, match='must be the work directory of a training, with folders'):
        report(str(tmp_path))
    with pytest.raises(ValueError, match='num_images must be an integer of at least 0'):
        report(str(tmp_path), num_images=-1)
