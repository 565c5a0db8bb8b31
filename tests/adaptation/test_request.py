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


def test_the_record_tells_another_checkpoint_of_the_same_name(tmp_path):
    file = tmp_path / 'a.pth'
    file.write_bytes(b'1')
    first = request(checkpoint=str(file)).recorded()
    assert first == request(checkpoint=str(file)).recorded()
    file.write_bytes(b'12')
    assert first != request(checkpoint=str(file)).recorded()


def test_the_place_of_the_results_is_no_part_of_the_record():
    assert request(work_dir='a').recorded() == request(work_dir='b').recorded()
    assert request(seed=1).recorded() != request().recorded()
