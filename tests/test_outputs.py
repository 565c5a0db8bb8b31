"""What was given stays, what was written is whole, what was interrupted leaves nothing."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from mmocr_da import outputs
from mmocr_da.outputs import LEDGER, check_outputs, output_file, output_files, output_folder


def content(folder):
    """Every file below a folder, with its text, but for the list of what was written."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob('*')
        if path.is_file() and path.name != LEDGER
    }


def write(path, text, by='tool', inputs=()):
    with output_file(path, by, inputs) as file:
        file.write_text(text)


def test_an_own_file_is_replaced_and_no_other_one(tmp_path):
    write(tmp_path / 'new/a', '1')
    write(tmp_path / 'new/a', '2')
    write(tmp_path / 'new/b', '3')
    assert content(tmp_path) == {'new/a': '2', 'new/b': '3'}
    (tmp_path / 'given').write_text('mine')
    for path, by in ((tmp_path / 'given', 'tool'), (tmp_path / 'new/a', 'other tool')):
        with pytest.raises(
            ValueError,
            match=f'{path} exists and was not written by {by}, or was '
            'changed since; .* nothing was touched',
        ):
            write(path, 'x', by)
    (tmp_path / 'new/a').write_text('by hand')
    with pytest.raises(ValueError, match='changed since'):
        write(tmp_path / 'new/a', 'x')
    assert content(tmp_path) == {'given': 'mine', 'new/a': 'by hand', 'new/b': '3'}


@pytest.mark.parametrize('link', [os.symlink, os.link, None])
def test_an_input_is_never_an_output(tmp_path, link):
    write(tmp_path / 'a', '1')
    name = tmp_path / 'a'
    if link:
        name = tmp_path / 'other name'
        link(tmp_path / 'a', name)
    for target, given in ((tmp_path / 'a', name), (name, tmp_path / 'a')):
        with pytest.raises(ValueError, match=f'{target} is an input of this command'):
            write(target, '2', inputs=[None, tmp_path / 'missing', given])
    assert (tmp_path / 'a').read_text() == '1'


def test_a_link_is_not_written_through(tmp_path):
    write(tmp_path / 'a', '1')
    (tmp_path / 'link').symlink_to('a')
    (tmp_path / 'broken').symlink_to('missing')
    for name in ('link', 'broken'):
        with pytest.raises(ValueError, match='was not written by'):
            write(tmp_path / name, '2')
    assert (tmp_path / 'a').read_text() == '1' and not (tmp_path / 'missing').exists()


def test_a_link_to_what_was_written_is_not_what_was_written(tmp_path):
    write(tmp_path / 'a', '1')
    (tmp_path / 'a').rename(tmp_path / 'moved')
    (tmp_path / 'a').symlink_to('moved')
    with pytest.raises(ValueError, match='was not written by'):
        write(tmp_path / 'a', '2')
    fill(tmp_path / 'data', '1')
    (tmp_path / 'data/broken').symlink_to('/somewhere/else')
    with pytest.raises(ValueError, match=r'such as broken \(1 in all\)'):
        fill(tmp_path / 'data', '2', replace=True)


def test_a_refusal_comes_before_the_work(tmp_path):
    fill(tmp_path / 'data', '1')
    (tmp_path / 'file').touch()
    for attempt in (
        output_file(tmp_path / 'file', 'tool'),
        output_folder(tmp_path / 'data', 'x'),
        output_folder(tmp_path / 'data', 'x', replace=True),
    ):
        with pytest.raises(ValueError):
            with attempt:
                pytest.fail('it has begun')


def test_a_folder_is_no_file_and_the_other_way_round(tmp_path):
    with pytest.raises(ValueError, match='must be a file, got .*, which is a folder'):
        check_outputs([tmp_path], 'tool')
    (tmp_path / 'file').touch()
    with pytest.raises(ValueError, match='must be a folder, got .*, which is a file'):
        with output_folder(tmp_path / 'file', 'tool'):
            pass


def test_files_that_were_not_announced_are_checked_as_well(tmp_path):
    (tmp_path / 'dict.txt').write_text('mine')
    with pytest.raises(ValueError, match='dict.txt exists and was not written by tool'):
        with output_files(tmp_path, ['a'], 'tool') as stage:
            (stage / 'a').write_text('1')
            (stage / 'dict.txt').write_text('other')
    assert content(tmp_path) == {'dict.txt': 'mine'} and len(list(tmp_path.iterdir())) == 1
    # One with the same content is left as it is, and stays the user's.
    with output_files(tmp_path, ['a'], 'tool') as stage:
        (stage / 'a').write_text('1')
        (stage / 'dict.txt').write_text('mine')
    assert content(tmp_path) == {'a': '1', 'dict.txt': 'mine'}
    assert not outputs.is_own(tmp_path / 'dict.txt', 'tool')


@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing(tmp_path, error):
    write(tmp_path / 'a', '1')
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}
    for folder in (tmp_path, tmp_path / 'new/folder'):
        with pytest.raises(error):
            with output_files(folder, ['a', 'b'], 'tool') as stage:
                (stage / 'a').write_text('2')
                raise error
    with pytest.raises(error):
        with output_folder(tmp_path / 'data', 'tool') as stage:
            (stage / 'a').write_text('2')
            raise error
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}


SCRIPT = """
import sys, time
from mmocr_da.outputs import output_file, output_folder
with globals()[sys.argv[1]](sys.argv[2], 'tool') as path:
    if sys.argv[1] == 'output_folder':
        path = path / 'a'
    path.write_text('half')
    print('written', flush=True)
    time.sleep(60)
"""


@pytest.fixture
def start(monkeypatch):
    """Starts another process that writes and does not come to its end; returns it when it has
    begun."""
    stub = "import sys, types; sys.modules['mmocr_da'] = m = types.ModuleType('mmocr_da'); "
    stub += f'm.__path__ = [{os.path.dirname(outputs.__file__)!r}]\n'
    started = []

    def run(kind, path):
        process = subprocess.Popen(
            [sys.executable, '-c', stub + SCRIPT, kind, str(path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == 'written\n'
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize('kind', ['output_file', 'output_folder'])
def test_two_at_once_do_not_disturb_each_other(tmp_path, start, kind):
    process = start(kind, tmp_path / 'out')
    with pytest.raises(ValueError, match='out is being written by another process; wait until'):
        with getattr(outputs, kind)(tmp_path / 'out', 'tool'):
            pass
    write(tmp_path / 'other', 'in the meantime')
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 143
    assert content(tmp_path) == {'other': 'in the meantime'}


@pytest.mark.parametrize('kind', ['output_file', 'output_folder'])
def test_what_a_killed_process_left_is_cleared_away(tmp_path, start, kind):
    process = start(kind, tmp_path / 'out')
    process.kill()
    process.wait()
    assert not (tmp_path / 'out').exists()
    with getattr(outputs, kind)(tmp_path / 'out', 'tool') as path:
        if kind == 'output_folder':
            assert [file.name for file in path.iterdir()] == [outputs.LOCK]
            path = path / 'b'
        path.write_text('whole')
    assert list(content(tmp_path).values()) == ['whole']
    assert not (tmp_path / '.out.partial').exists()


def test_of_two_files_written_in_the_same_folder_both_are_own(tmp_path):
    with output_file(tmp_path / 'a', 'tool') as first:
        first.write_text('1')
        write(tmp_path / 'b', '2')
    assert all(outputs.is_own(tmp_path / name, 'tool') for name in 'ab')


def test_what_another_process_wrote_in_the_meantime_stays(tmp_path):
    with pytest.raises(ValueError, match='was not written by tool'):
        with output_file(tmp_path / 'a', 'tool') as path:
            path.write_text('1')
            (tmp_path / 'a').write_text('mine')
    assert content(tmp_path) == {'a': 'mine'}

    with pytest.raises(ValueError, match='must be a new folder'):
        with output_folder(tmp_path / 'data', 'tool'):
            fill_by_hand(tmp_path / 'data')
    assert content(tmp_path) == {'a': 'mine', 'data/a': 'mine'}


def fill_by_hand(folder):
    folder.mkdir()
    (folder / 'a').write_text('mine')


def test_many_at_once_each_write_whole_files_or_nothing(tmp_path):
    """The locks are of open files, so that threads meet as processes do."""
    errors = []

    def work(number):
        turn = 0
        while turn < 25 and len(errors) < 5000:
            try:
                with output_files(tmp_path / 'out', ['a', 'b'], 'tool') as stage:
                    for name in 'ab':
                        (stage / name).write_text(f'{number} {turn}')
                write(tmp_path / f'out/{number}', str(turn))
                turn += 1
            except Exception as error:
                errors.append(str(error))
                time.sleep(0.001)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {error.split('out/')[-1].split(' by ')[0] for error in errors} == {'a is being written'}
    assert [(tmp_path / f'out/{number}').read_text() for number in range(4)] == ['24'] * 4
    assert (tmp_path / 'out/a').read_text() == (tmp_path / 'out/b').read_text()
    assert all(outputs.is_own(path, 'tool') for path in (tmp_path / 'out').glob('[ab0-3]'))
    assert not list((tmp_path / 'out').glob('.*.partial'))


def test_a_finished_folder_is_left_and_so_is_what_the_next_one_prepares(tmp_path):
    """Between the move to its place and the end, another process may begin."""
    other = tmp_path / '.data.partial'
    with pytest.MonkeyPatch.context() as patch:

        def moved_and_begun(stage, folder):
            os.rename(stage, folder)
            fill_by_hand(other)
            (other / outputs.LOCK).touch()

        patch.setattr(outputs.Path, 'rename', moved_and_begun)
        fill(tmp_path / 'data', '1')
    assert content(tmp_path) == {
        'data/deep/a': '1',
        '.data.partial/a': 'mine',
        '.data.partial/.lock': '',
    }


@pytest.mark.parametrize('name', ['out', 'out/.a.partial'])
def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text('mine')
    with pytest.raises((ValueError, OSError), match='/out is a file|File exists'):
        write(tmp_path / 'out/a', '1')
    assert content(tmp_path) == {name: 'mine'}


def test_where_nothing_can_be_written_is_said_before(tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    with pytest.raises(ValueError, match='got .*/file/deep, where .*/file is a file'):
        check_outputs([tmp_path / 'file/deep/a'], 'tool')
    check_outputs([tmp_path / 'new/deep/a'], 'tool')
    monkeypatch.setattr('os.access', lambda path, mode: path != tmp_path)
    with pytest.raises(ValueError, match=f'/new/deep: there is no permission for {tmp_path};'):
        check_outputs([tmp_path / 'new/deep/a'], 'tool')


def test_the_process_is_terminated_as_before_once_it_is_done(tmp_path):
    write(tmp_path / 'a', '1')
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def fill(folder, text, **kwargs):
    with output_folder(folder, 'tool', **kwargs) as stage:
        (stage / 'deep').mkdir()
        (stage / 'deep/a').write_text(text)


def test_a_folder_is_replaced_on_demand_if_all_in_it_is_own(tmp_path):
    folder = tmp_path / 'data'
    folder.mkdir()
    fill(folder, '1')
    with pytest.raises(ValueError, match='must be a new folder, got one with files in it'):
        fill(folder, '2')
    assert content(folder) == {'deep/a': '1'}
    fill(folder, '2', replace=True)
    write(folder / 'sheet', 'x')
    fill(folder, '3', replace=True)
    assert content(tmp_path) == {'data/deep/a': '3'}
    (folder / 'deep/mine').write_text('x')
    (folder / 'deep/a').write_text('by hand')
    with pytest.raises(ValueError, match=r'did not write .* such as deep/a \(2 in all\)'):
        fill(folder, '4', replace=True)
    assert content(folder) == {'deep/a': 'by hand', 'deep/mine': 'x'}


def test_a_copy_with_another_time_is_no_other_content(tmp_path, monkeypatch):
    path = tmp_path / 'a'

    def stamped(text, time):
        path.write_text(text)
        os.utime(path, (time, time))
        return outputs.content_stamp(path)

    first, of_earlier_version = stamped('1', 10), outputs.stamp(path)
    assert outputs.is_unchanged(first, stamped('1', 20))
    assert not outputs.is_unchanged(first, stamped('2', 10))
    assert outputs.is_unchanged(of_earlier_version, stamped('1', 10))
    assert not outputs.is_unchanged(of_earlier_version, stamped('1', 20))
    assert not outputs.is_unchanged('', first)
    # A file that is too large to be read has its size and time.
    monkeypatch.setattr(outputs, 'MOST_HASHED', 0)
    assert stamped('1', 10) == of_earlier_version


def test_a_file_of_ones_own_is_whole_or_not_there(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with outputs.whole_file(tmp_path / 'a') as path:
            path.write_text('half')
            raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    for text in '12':
        with outputs.whole_file(tmp_path / 'a') as path:
            path.write_text(text)
    assert content(tmp_path) == {'a': '2'}


def test_without_locks_the_rest_works(tmp_path, monkeypatch):
    """Some file systems of clusters have none."""

    def flock(file, how):
        raise OSError('not implemented')

    monkeypatch.setattr(outputs.fcntl, 'flock', flock)
    write(tmp_path / 'a', '1')
    write(tmp_path / 'a', '2')
    assert content(tmp_path) == {'a': '2'}
