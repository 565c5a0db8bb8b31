import math
import re

import pytest

from mmocr_da.reporting import RunFolder
from mmocr_da.reporting.training import (
    MEANINGS,
    SHOWN,
    cost_section,
    curve_section,
    export_commands,
    label_free_section,
    seconds,
)
from mmocr_da.visualization.page import Command, Table


def row(step, **values):
    return dict(loss=1.0, lr=0.1, time=0.5, data_time=0.125, step=step, **values)


def table(section):
    return next(block.rows for block in section.blocks if isinstance(block, Table))


def test_every_panel_says_what_to_look_for():
    assert MEANINGS.keys() == SHOWN.keys()


@pytest.mark.parametrize(
    'name, title',
    [
        ('lr', 'learning rate'),
        ('target/recog/word_acc_ignore_case_symbol', 'word accuracy'),
        ('target/label_free/certainty', 'scores without labels'),
        ('icdar/hmean', 'hmean of boxes'),
        ('global_lambda', 'lambda and weights'),
        ('self_training_weight', 'lambda and weights'),
        ('health/global/highest_weight', None),
        ('health/source/word_accuracy', None),
        ('health/self_training/confidence', None),
        ('base_lr', None),
    ],
)
def test_every_scalar_has_one_panel_at_most(name, title):
    found = [panel for panel, pattern in SHOWN.items() if re.search(pattern, name)]
    assert found == ([title] if title else [])


def test_each_kind_of_curves_has_a_picture(make_run):
    run = RunFolder.read(make_run(row(20, global_lambda=0.5), {'label_free/snd': 1.0, 'step': 20}))
    ((pictures,),) = (section.blocks for section in curve_section(run))
    assert [picture.alt for picture in pictures.pictures] == [
        'Curves over iterations: loss (loss)',
        'Curves over iterations: lambda and weights (global_lambda)',
        'Curves over iterations: learning rate (lr)',
    ]
    assert all(picture.caption for picture in pictures.pictures)
    assert curve_section(RunFolder.read(make_run(name='empty'))) == []


def test_the_best_checkpoint_by_each_score_has_a_star(make_run):
    scores = [
        {'label_free/snd': a, 'label_free/certainty': b, 'step': step}
        for step, a, b in ((20, 1.0, -0.5), (40, 3.0, -0.75), (60, 2.0, -0.25))
    ]
    (section,) = label_free_section(RunFolder.read(make_run(row(20), *scores)))
    assert table(section) == [
        ['iteration', 'label_free/certainty', 'label_free/snd'],
        ['20', '-0.5', '1'],
        ['40', '-0.75', '3 *'],
        ['60', '-0.25 *', '2'],
    ]
    assert label_free_section(RunFolder.read(make_run(row(20), name='without'))) == []


def test_the_cost_is_that_of_the_log_and_the_checkpoint(make_run):
    run = RunFolder.read(make_run(row(1800), row(3600, memory=7000), iters=40))
    (section,) = cost_section(run)
    cells = {''.join(cells[0]): cells[1] for cells in table(section)}
    assert cells['time of an iteration'] == '0.5 s' and cells['3,600 iterations'] == '0.5 h'
    assert cells['waiting for data'] == '25%' and cells['memory of the GPU'] == '7,000 MB'
    assert cells['parameters'] == '0.00 million' and 'only for training' in cells
    assert cells['iter_40.pth'].endswith(' MB')


def test_a_validation_does_not_count_as_an_iteration(make_run):
    run = RunFolder.read(make_run(row(20), row(40), {'cer': 0.5, 'time': 99.0, 'step': 50}))
    assert seconds(run.curves) == 0.5


def test_how_to_export_is_said_until_it_is_done(make_run):
    folder = make_run(row(20), iters=40)
    (command,) = export_commands(RunFolder.read(folder)).values()
    assert command.split()[2:] == [
        str(folder / '20260101_000000/vis_data/config.py'),
        str(folder / 'iter_40.pth'),
        str(folder / 'exported'),
    ]
    (section,) = cost_section(RunFolder.read(folder))
    assert isinstance(section.blocks[-1], Command)
    (folder / 'exported').mkdir()
    (folder / 'exported/x.pth').write_bytes(b'0' * 10**6)
    run = RunFolder.read(folder)
    assert export_commands(run) == {}
    assert ['exported checkpoint', '1.0 MB', 'what MMOCR alone loads'] in table(
        cost_section(run)[0]
    )


def test_nothing_is_known_of_a_run_that_has_just_begun(make_run):
    assert cost_section(RunFolder.read(make_run())) == []


def test_a_score_that_is_no_number_has_no_star(make_run):
    values = {20: math.nan, 40: 0.5, 60: 1.5}
    scores = [{'label_free/snd': value, 'step': step} for step, value in values.items()]
    (section,) = label_free_section(RunFolder.read(make_run(row(20), *scores)))
    assert [row[1] for row in table(section)[1:]] == ['nan', '0.5', '1.5 *']
