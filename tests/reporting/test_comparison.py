import math

import pytest
from helpers.pages import Page as Parsed

from mmocr_da.reporting import compare_runs
from mmocr_da.visualization.page import Table

CONFIG = """
model = dict(type='A', objectives=[dict(weight={weight})])
randomness = dict(seed=0)
work_dir = '{weight}'
val_dataloader = dict(dataset=dict(ann_file='{data}'))
train_cfg = dict(max_iters=20)
"""


@pytest.fixture
def runs(make_run):
    def make(**values):
        return [
            make_run(
                dict(loss=1.0, lr=0.1, time=0.5, step=20),
                {'target/recog/cer': cer, 'target/recog/word_acc_ignore_case_symbol': 1 - cer}
                | {'step': 20},
                config=CONFIG.format(weight=cer, data=values.get(name, 'same')),
                name=name,
                iters=20,
            )
            for name, cer in (('one', 0.25), ('two', 0.125), ('three', 0.5))
        ]

    return make


def rows(page, heading):
    section = next(section for section in page.sections if section.heading == heading)
    table = next(block for block in section.blocks if isinstance(block, Table))
    return [[''.join(cell) for cell in row] for row in table.rows]


def test_one_table_has_all_runs_and_marks_the_best(runs):
    page = compare_runs(runs())
    assert rows(page, 'Results') == [
        ['run', 'iterations', 'target/recog/cer', 'target/recog/word_acc_ignore_case_symbol']
        + ['faults', 'time of an iteration'],
        ['one', '20', '0.2500', '0.7500', '0', '0.5 s'],
        ['two', '20', '0.1250 *', '0.8750 *', '0', '0.5 s'],
        ['three', '20', '0.5000', '0.5000', '0', '0.5 s'],
    ]


def test_each_panel_has_all_runs(runs):
    page = compare_runs(runs())
    assert Parsed(page.html()).errors == []
    (pictures,) = next(part.blocks for part in page.sections if part.heading == 'Curves')
    assert [picture.alt.split(': ')[1].split(' (')[0] for picture in pictures.pictures] == [
        'CER',
        'word accuracy',
        'loss',
    ]


def test_only_settings_that_differ_are_listed(runs):
    assert rows(compare_runs(runs()), 'Settings that differ') == [
        ['setting', 'one', 'two', 'three'],
        ['model.objectives.0.weight', '0.25', '0.125', '0.5'],
    ]


def test_numbers_of_other_data_are_not_compared(runs):
    page = compare_runs(runs(two='other'))
    assert 'cannot be compared' in page.markdown()
    assert not any('*' in cell for row in rows(page, 'Results') for cell in row)


def test_a_run_without_anything_says_so(runs, make_run):
    page = compare_runs([*runs(), make_run(config='', name='new')])
    text = Parsed(page.html()).text
    assert 'new: No scalars' in text and rows(page, 'Results')[-1][:2] == ['new', '0']


def test_a_run_that_has_not_ended_is_named(make_run):
    folders = [
        make_run(dict(loss=1.0, lr=1.0, step=20), name=name, iters=iters)
        for name, iters in (('a', 20), ('b', 40))
    ]
    text = compare_runs(folders).markdown()
    assert '`a` has not ended: the last checkpoint is after 20 of 40' in text
    assert '`b` has not' not in text


@pytest.mark.parametrize('chosen', [[0], [0, 0]])
def test_one_run_has_nothing_to_be_compared_with(runs, chosen):
    folders = runs()
    with pytest.raises(ValueError, match='must be two or more different ones'):
        compare_runs([folders[i] for i in chosen])


def test_a_folder_that_is_no_run_is_an_error(runs, tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='must be the work directory of a training, got .*empty'):
        compare_runs([*runs(), tmp_path / 'empty'])


def test_metrics_with_other_settings_are_not_compared(make_run):
    folders = [
        make_run(
            dict(loss=1.0, lr=0.1, time=0.5, step=20),
            {'recog/cer': cer, 'step': 20},
            config=CONFIG.format(weight=cer, data='same')
            + f"val_evaluator = dict(type='mmocr_da.TextErrorMetric', ignore_case={case})\n",
            name=name,
            iters=20,
        )
        for name, cer, case in (('one', 0.25, True), ('two', 0.5, False))
    ]
    page = compare_runs(folders)
    assert not any('*' in cell for row in rows(page, 'Results') for cell in row)
    assert 'metrics with different settings' in page.markdown()


def test_a_number_that_is_none_has_no_star(make_run):
    folders = [
        make_run(
            dict(loss=1.0, lr=0.1, time=0.5, step=20),
            {'recog/cer': cer, 'step': 20},
            config=CONFIG.format(weight=1, data='same'),
            name=name,
            iters=20,
        )
        for name, cer in (('one', math.nan), ('two', 0.5), ('three', 0.25))
    ]
    found = {row[0]: row[2] for row in rows(compare_runs(folders), 'Results')[1:]}
    assert found == dict(one='', two='0.5000', three='0.2500 *')
