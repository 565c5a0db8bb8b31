from mmocr_da.reporting import RunFolder
from mmocr_da.reporting.health import findings, health_section, is_measured
from mmocr_da.visualization.page import Notes, Paragraph, Pictures, Table

FAULT = 'At iteration 40: GlobalAlignment wins: raise its weight'


def measured(step, accuracy):
    return {
        'health/global/domain_accuracy': accuracy,
        'health/global/highest_weight': 1.0,
        'health/target/empty': 0.25,
        'health/seconds': 2.0,
        'step': step,
    }


def rows():
    return dict(loss=1.0, lr=1.0, step=20), measured(0, 0.5), measured(40, 0.96875)


def blocks_of(folder, kind):
    (section,) = health_section(RunFolder.read(folder))
    return [block for block in section.blocks if isinstance(block, kind)]


def test_the_first_and_the_last_measure_are_in_the_table_with_what_they_tell(make_run):
    (table,) = blocks_of(make_run(*rows()), Table)
    assert [[''.join(cell) for cell in row[:3]] for row in table.rows[1:]] == [
        ['global domain accuracy', '0.5', '0.969'],
        ['target empty', '0.25', '0.25'],
    ]
    assert all(row[3] for row in table.rows[1:])


def test_each_measure_has_a_curve(make_run):
    (pictures,) = blocks_of(make_run(*rows()), Pictures)
    assert [picture.alt.split(' over')[0] for picture in pictures.pictures] == [
        'Curves of the domain accuracy of global',
        'Curves of the empty of target',
    ]


def test_faults_come_first_and_other_warnings_last(make_run):
    folder = make_run(*rows(), warnings=['8 of 9 labels are long', FAULT])
    faults, others = blocks_of(folder, Notes)
    assert (faults.items, faults.level) == ([FAULT], 'bad')
    assert (others.items, others.level) == (['8 of 9 labels are long'], 'plain')
    assert findings(RunFolder.read(folder)) == [FAULT]


def test_a_run_without_a_fault_is_not_called_right(make_run):
    (notes,) = blocks_of(make_run(*rows()), Notes)
    assert notes.level == 'good' and 'can still be worse' in notes.items[0]


def test_without_the_hook_there_is_no_verdict(make_run):
    run = RunFolder.read(make_run(rows()[0]))
    assert health_section(run) == [] and not is_measured(run.curves)
    folder = make_run(rows()[0], warnings=['x'], name='other')
    assert blocks_of(folder, Paragraph)[0].text == 'Warnings in the log:'
