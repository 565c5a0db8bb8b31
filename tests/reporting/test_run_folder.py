import json
import os

import pytest

from mmocr_da.reporting import RunFolder


def row(step, **values):
    return dict(loss=1.0, lr=0.1, step=step, **values)


def test_what_a_training_has_left_is_read(make_run):
    run = RunFolder.read(make_run(row(20), row(40), iters=40))
    assert run.curves['loss'] == {20: 1.0, 40: 1.0} and run.last_iteration == 40
    assert run.cfg.train_cfg.max_iters == 40 and [p.name for p in run.checkpoints] == [
        'iter_40.pth'
    ]
    assert run.result == run.checkpoints[-1]
    assert run.has_started and run.missing == [] and run.unfinished == '' and run.start is None


def test_what_is_not_there_is_said(make_run):
    run = RunFolder.read(make_run(config=''))
    assert [sentence.split(' is')[0].split(' (')[0] for sentence in run.missing] == [
        'The config that was trained',
        'No scalars',
        'There',
    ]
    assert run.cfg is None and run.curves == {} and run.unfinished == ''


@pytest.mark.parametrize(
    'iters, message', [(20, 'the last checkpoint is after 20 of 40 iterations'), (40, '')]
)
def test_a_run_that_has_not_ended_says_how_far_it_is(make_run, iters, message):
    assert RunFolder.read(make_run(row(20), iters=iters)).unfinished == message


def test_epochs_are_counted_as_epochs(make_run):
    folder = make_run(row(20), config='train_cfg = dict(max_epochs=3)')
    (folder / 'epoch_2.pth').touch()
    (folder / 'epoch_10.pth').touch()
    run = RunFolder.read(folder)
    assert [path.name for path in run.checkpoints] == ['epoch_2.pth', 'epoch_10.pth']
    (folder / 'epoch_10.pth').unlink()
    unfinished = RunFolder.read(folder).unfinished
    assert unfinished == 'the last checkpoint is after 2 of 3 epochs'


def test_checkpoints_are_in_the_order_of_their_iterations(make_run):
    folder = make_run(row(1))
    for name in ('iter_9.pth', 'iter_100.pth', 'best_x_iter_300.pth', 'other.pth'):
        (folder / name).touch()
    assert [p.name for p in RunFolder.read(folder).checkpoints] == ['iter_9.pth', 'iter_100.pth']


def test_a_test_in_the_same_directory_is_not_the_training(make_run):
    folder = make_run(row(20), config='seen = 1')
    other = folder / '20270101_000000' / 'vis_data'
    other.mkdir(parents=True)
    (other / 'config.py').write_text('seen = 2')
    assert RunFolder.read(folder).cfg.seen == 1


def test_warnings_are_those_of_the_run_each_once(make_run):
    texts = ['At iteration 9: x', '"A" is the alias of "B"', 'other', 'At iteration 9: x']
    assert RunFolder.read(make_run(warnings=texts)).warnings == ['At iteration 9: x', 'other']


def test_the_start_is_a_checkpoint_of_another_run(make_run, tmp_path):
    config = "load_from = '{}'"
    there = make_run(row(1), config=config.format(tmp_path / 'other/iter_1.pth'))
    assert RunFolder.read(there).start == str(tmp_path / 'other/iter_1.pth')
    # A resumed run names its own.
    own = make_run(row(1), config=config.format(tmp_path / 'own/iter_1.pth'), name='own')
    assert RunFolder.read(own).start is None


def test_an_adaptation_has_its_training_in_a_folder(make_run, tmp_path):
    training = make_run(row(20), name='out/training')
    out = training.parent
    (out / 'adapt.json').write_text(json.dumps({}))
    (out / 'x_adapted.py').write_text('')
    (out / 'exported').mkdir()
    (out / 'exported' / 'x_adapted.pth').touch()
    run = RunFolder.read(out)
    assert run.training == training and run.curves['loss'] == {20: 1.0} and run.name == 'out'
    assert run.written_config == str(out / 'x_adapted.py')
    assert run.exported == [run.result] == [out / 'exported' / 'x_adapted.pth']
    assert RunFolder.read(training).written_config is None


def test_a_folder_without_a_training_is_told_apart(tmp_path):
    assert not RunFolder.read(tmp_path).has_started
    with pytest.raises(ValueError, match='must be the work directory .*none, no folder'):
        RunFolder.read(tmp_path / 'none')


def test_an_export_that_is_older_than_the_training_is_not_its_result(make_run):
    training = make_run(row(20), name='out/training')
    out = training.parent
    (out / 'exported').mkdir()
    exported, last = out / 'exported' / 'x_adapted.pth', training / 'iter_40.pth'
    for file in (exported, last):
        file.touch()
    for age, result in ((-10, last), (10, exported)):
        os.utime(exported, (last.stat().st_mtime + age,) * 2)
        assert RunFolder.read(out).result == result
