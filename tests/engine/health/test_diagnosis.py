"""Every fault is found in a state that has it, and in none that lacks one of its signs."""

import pytest

from mmocr_da.engine.health.diagnosis import diagnose

ABOUT = dict(
    glob=dict(type='GlobalAlignment'),
    local=dict(type='LocalAlignment', threshold=0.5),
    self_training=dict(type='SelfTraining', advice=lambda: 'lower threshold'),
    lsed=dict(type='LSEDLoss'),
)
HEALTHY = {
    'glob/domain_accuracy': 0.7,
    'glob/probe_accuracy': 0.85,
    'glob/probe_a_distance': 1.4,
    'glob/gradient_ratio': 0.2,
    'glob/weight': 0.3,
    'glob/highest_weight': 0.3,
    'local/gate_source': 0.9,
    'local/gate_target': 0.4,
    'self_training/kept': 0.4,
    'self_training/length': 5.0,
    'self_training/distinct_words': 50.0,
    'self_training/agreement': 0.8,
    'self_training/images': 64.0,
    'self_training/batches': 200.0,
    'target/length': 5.0,
    'target/empty': 0.01,
    'target/distinct_words': 180,
    'target/words': 198,
    'target/confidence': 0.8,
    'source/word_accuracy': 0.9,
    'lsed/estimate_change': -0.3,
    'lsed/estimate_change_error': 0.05,
    'lsed/metric_change': -0.2,
    'lsed/metric_change_error': 0.05,
}


def findings(*changes, start=None, about=ABOUT):
    """What is found after a healthy start and measures that differ from it."""
    return diagnose([{**HEALTHY, **(start or {})}, *({**HEALTHY, **c} for c in changes)], about)


def faults(*changes, start=None):
    return [finding.fault for finding in findings(*changes, start=start)]


def test_nothing_is_wrong_with_a_healthy_run():
    assert faults() == faults({}) == faults({}, {}) == []


def test_what_was_not_measured_is_not_judged():
    assert diagnose([{}], ABOUT) == diagnose([{}, {}, {}], ABOUT) == []
    for key in HEALTHY:
        rest = {k: v for k, v in HEALTHY.items() if k != key}
        assert diagnose([rest, rest, rest], ABOUT) == []


STALLED = {'glob/domain_accuracy': 0.51, 'glob/probe_accuracy': 0.97}


def test_a_discriminator_that_does_not_learn():
    (finding,) = findings(STALLED, STALLED)
    assert finding.fault == 'discriminator collapsed'
    assert 'GlobalAlignment' in finding.message and 'lr_mult' in finding.message
    assert '0.51' in finding.message and '0.97' in finding.message


@pytest.mark.parametrize(
    'changes',
    [
        [STALLED],  # it has only begun
        [{}, STALLED],  # once
        [STALLED, {}],
        [{**STALLED, 'glob/probe_accuracy': 0.6}] * 2,  # there is nothing to tell apart
        [{**STALLED, 'glob/domain_accuracy': 0.65}] * 2,
    ],
)
def test_a_discriminator_that_learns_or_has_nothing_to_learn(changes):
    assert faults(*changes) == []


WINS = {'glob/domain_accuracy': 0.99, 'glob/probe_accuracy': 1.0, 'glob/probe_a_distance': 2.0}
WEAK = {**WINS, 'glob/gradient_ratio': 0.001}


def test_a_discriminator_that_wins():
    (finding,) = findings(WEAK, WEAK)
    assert finding.fault == 'discriminator dominates'
    assert '0.001 of that of the supervised loss' in finding.message
    assert 'raise its weight (0.3 now)' in finding.message
    (finding,) = findings(WINS, WINS)
    assert 'is 2.00, it was 1.40' in finding.message


@pytest.mark.parametrize(
    'changes',
    [
        [WEAK],
        [{}, WEAK],
        [{**WINS, 'glob/probe_a_distance': 1.2}] * 2,  # the gap closes
        [{**WEAK, 'glob/weight': 0.1}] * 2,  # lambda still rises, or has fallen
        [{**WEAK, 'glob/weight': 0.0, 'glob/highest_weight': 0.0}] * 2,
        [{**WEAK, 'glob/domain_accuracy': 0.9}] * 2,
    ],
)
def test_a_discriminator_that_is_deceived_or_has_no_weight_yet(changes):
    assert faults(*changes) == []


@pytest.mark.parametrize('domain', ['source', 'target'])
def test_an_empty_gate(domain):
    empty = {f'local/gate_{domain}': 0.0}
    (finding,) = findings(empty, empty)
    assert finding.fault == 'gate empty'
    assert f'no character of the {domain} among the held-out images' in finding.message
    assert 'threshold=0.5. Lower it' in finding.message
    assert faults({}, empty) == faults(empty, {}) == []
    assert faults({f'local/gate_{domain}': 0.001}, {f'local/gate_{domain}': 0.001}) == []


@pytest.mark.parametrize(
    'change, words',
    [
        ({'length': 0.0, 'distinct_words': 0.0}, 'the empty text for every target image'),
        ({'distinct_words': 1.0}, 'COLLAPSE: the teacher predicted 1.0 different words for the 64'),
        ({'distinct_words': 3.0}, 'COLLAPSE'),
        ({'kept': 0.0}, 'no prediction of the teacher became a label: lower threshold'),
    ],
)
def test_pseudo_labels_that_teach_nothing(change, words):
    (finding,) = findings({f'self_training/{k}': v for k, v in change.items()})
    assert finding.fault == 'pseudo-labels collapsed' and words in finding.message


@pytest.mark.parametrize(
    'change',
    [
        {'distinct_words': 4.0},
        {'distinct_words': 1.0, 'images': 4.0},  # of so few, all may be one word
        {'kept': 0.0, 'batches': 20.0},
    ],
)
def test_pseudo_labels_that_may_be_fine(change):
    assert faults({f'self_training/{k}': v for k, v in change.items()}) == []


@pytest.mark.parametrize(
    'change',
    [
        {'target/empty': 0.4},
        {'target/distinct_words': 20},
        {'target/confidence': 0.6, 'target/length': 8.0},
        {'target/confidence': 0.6, 'self_training/agreement': 0.6},
        {'target/length': 2.5, 'self_training/agreement': 0.6},
    ],
)
def test_negative_transfer(change):
    assert faults(change) == ['negative transfer']


@pytest.mark.parametrize(
    'change',
    [
        {'target/empty': 0.25},
        {'target/distinct_words': 100},
        {'target/distinct_words': 2, 'target/words': 20},  # too few to say
        {'target/confidence': 0.6},  # one sign alone
        {'target/length': 8.0},
        {'self_training/agreement': 0.5},
        {'target/confidence': 0.75, 'target/length': 6.0, 'self_training/agreement': 0.75},
        {'target/confidence': 0.95, 'self_training/agreement': 0.95},
    ],
)
def test_one_weak_sign_is_no_negative_transfer(change):
    assert faults(change) == []


def test_predictions_that_recover_from_empty_ones_are_no_harm():
    assert faults({}, start={'target/empty': 0.6, 'target/length': 1.0}) == []


def test_a_forgotten_source():
    (finding,) = findings({'source/word_accuracy': 0.75})
    assert finding.fault == 'source forgotten'
    assert '75%' in finding.message and 'at first 90%' in finding.message
    assert faults({'source/word_accuracy': 0.81}) == []
    assert faults({'source/word_accuracy': 1.0}) == []


def test_a_deceived_surrogate():
    (finding,) = findings({'lsed/metric_change': 0.2})
    assert finding.fault == 'surrogate deceived' and finding.key == 'surrogate'
    assert 'surrogate_steps' in finding.message and 'worse by 0.2' in finding.message
    (blind,) = findings({'lsed/metric_change': 20, 'lsed/estimate_change': 0.1})
    assert blind.fault == 'surrogate deceived' and 'changed by +0.1 alone' in blind.message
    assert faults({'lsed/metric_change': 0.2, 'lsed/metric_change_error': 0.2}) == []
    assert faults({'lsed/metric_change': 0.2, 'lsed/estimate_change': 0.3}) == []


def test_faults_are_found_together_and_each_has_a_key():
    found = findings(
        {**STALLED, 'local/gate_target': 0.0},
        {
            **STALLED,
            'local/gate_target': 0.0,
            'self_training/kept': 0.0,
            'target/empty': 0.9,
            'source/word_accuracy': 0.1,
            'lsed/metric_change': 1.0,
        },
    )
    assert len({finding.key for finding in found}) == len(found) == 6


def test_keys_are_those_of_the_watches_of_a_training_step():
    empty = {'local/gate_target': 0.0}
    keys = [f.key for f in findings(empty, {**empty, 'self_training/kept': 0.0})]
    assert keys == ['gate/LocalAlignment/target', 'pseudo-labels']
