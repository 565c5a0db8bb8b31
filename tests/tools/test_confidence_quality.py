"""The table of confidences, as a user makes it."""

import re

import numpy as np
import pytest


@pytest.fixture
def run(run_tool, toy, trained, capsys):
    def run(*options):
        capsys.readouterr()
        run_tool('analysis_tools/confidence_quality', toy, trained / 'iter_2.pth', *options)
        return capsys.readouterr().out

    return run


@pytest.fixture
def quality(load_tool):
    return load_tool('analysis_tools/confidence_quality').quality


def test_the_table_has_a_row_for_each_confidence(run):
    out = run('--thresholds', '0', '1')
    assert re.search(r'^6 images, [\d.]+ % right, \d empty predictions$', out, re.M)
    assert re.search(r'^\| of the text +\|', out, re.M)
    assert re.search(r'^\| length_normalized +\|', out, re.M)


def test_a_dataset_that_is_not_there_is_refused(run):
    with pytest.raises(ValueError, match='one of the 2 test datasets'):
        run('--dataset', '2')


def test_a_perfect_order_has_an_auroc_of_one_and_an_exchange_one_minus_it(quality):
    rng = np.random.default_rng(0)
    right = list(rng.random(50) < 0.4)
    confidences = [r + rng.random() / 2 for r in right]
    none = [False] * 50
    assert quality(confidences, right, none, [])[0] == '1.000'
    assert quality([-c for c in confidences], right, none, [])[0] == '0.000'


def test_empty_predictions_count_in_the_shares_alone(quality):
    confidences, right = [0.9, 0.8, 0.3], [True, False, False]
    assert quality(confidences, right, [False] * 3, [0.5]) == ['1.000', '66.7 %, 50.0 % right']
    # The second image is empty: a third of all images is left, and it is right.
    empty = [False, True, False]
    assert quality(confidences, right, empty, [0.5]) == ['1.000', '33.3 %, 100.0 % right']


def test_without_a_wrong_prediction_there_is_no_order(quality):
    assert quality([0.9, 0.8], [True, True], [False] * 2, [0.95]) == ['-', '0.0 %']
