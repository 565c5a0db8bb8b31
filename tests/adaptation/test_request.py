import os

import pytest

from mmocr_da.adaptation import Request


def request(**changes):
    return Request(**dict(dict(config='a.py', checkpoint='a.pth', target=('t',)), **changes))


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(max_iters=0), 'max_iters must be an integer of at least 1'),
        (dict(batch_size=1), 'batch_size must be an integer of at least 2'),
        (dict(seed=-1), 'seed must be an integer of at least 0'),
        (dict(target=()), 'target and source need a value'),
        (dict(source=('none', 'a.tsv')), 'must be none, or any of config, rendered and paths'),
        (dict(source=('a.tsv', 'a.tsv')), r"each once, got \['a.tsv', 'a.tsv'\]"),
        (dict(lexicon='words.txt'), 'are for --source rendered, got them with --source config'),
        (dict(source=('none',), fonts='fonts'), 'got them with --source none'),
    ],
)
def test_a_wrong_argument_is_an_error(changes, message):
    with pytest.raises(ValueError, match=message):
        request(**changes)


@pytest.mark.parametrize('name', ['config', 'checkpoint', 'target', 'source', 'lexicon'])
def test_another_content_of_a_file_is_told(name, tmp_path):
    file = tmp_path / 'a'
    file.write_bytes(b'1')
    value = (str(file),) if name in ('target', 'source') else str(file)
    options = {name: value} | (dict(source=('rendered',)) if name == 'lexicon' else {})
    first = request(**options).contents()
    assert list(first) == [str(file)]
    assert first == request(**options).contents()
    file.write_bytes(b'12')
    assert first != request(**options).contents()


def test_labels_for_numbers_are_no_part_of_the_record(tmp_path):
    file = tmp_path / 'eval.tsv'
    file.write_bytes(b'1')
    labelled = request(eval_labels=str(file))
    assert labelled.recorded() == request().recorded()
    assert labelled.contents() == request().contents()
    before = labelled.evaluated
    assert before and not request().evaluated
    file.write_bytes(b'12')
    assert labelled.evaluated != before


@pytest.mark.parametrize('name', [b'caf\xe9', b'a\nb'])
def test_a_path_that_no_text_can_name_is_refused(name):
    path = os.fsdecode(name)
    with pytest.raises(ValueError, match='must be in UTF-8 and of one line'):
        request(target=('images', path))


def test_the_place_of_the_results_is_no_part_of_the_record():
    assert request(work_dir='a').recorded() == request(work_dir='b').recorded()
    assert request(seed=1).recorded() != request().recorded()
