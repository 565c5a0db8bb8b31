import pytest
from helpers.processes import run_ranks

from mmocr_da.adaptation.launching import join, on_main


def test_without_a_launcher_nothing_is_joined():
    join('none')
    assert on_main(lambda: 3) == 3
    with pytest.raises(ValueError, match='wrong'):
        on_main(_fail)


def _fail():
    raise ValueError('wrong')


def _ranks(rank):
    calls = []
    result = on_main(lambda: calls.append(rank) or 'of main')
    try:
        on_main(_fail)
    except BaseException as error:
        return calls, result, f'{type(error).__name__}: {error}'


def test_one_process_works_and_all_know_the_result_and_the_error():
    first, second = run_ranks(_ranks)
    assert first == ([0], 'of main', 'ValueError: wrong')
    assert second == ([], 'of main', 'SystemExit: the main process has stopped: ValueError: wrong')
