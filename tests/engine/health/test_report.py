from mmocr_da.engine.health.measuring import GateRates, Measured
from mmocr_da.engine.health.report import report

SCALARS = {
    'global/domain_accuracy': 0.625,
    'global/probe_accuracy': 0.9,
    'global/probe_a_distance': 1.6,
    'global/gradient_ratio': 0.123,
    'global/weight': 0.3,
    'self_training/kept': 0.5,
    'target/length': 5.25,
    'target/empty': 0.01,
    'target/distinct_words': 180,
    'target/words': 198,
    'source/word_accuracy': 0.9,
}


def test_a_line_for_each_that_was_measured():
    lines = report(Measured(SCALARS, {}, {}), {}, ['global', 'l2sp', 'self_training'])
    assert lines == [
        'global: tells domains apart with 0.62, a new probe with 0.90 (A-distance 1.60), gradient '
        '0.12 of the task, weight 0.3',
        'self_training: kept 0.5',
        'target: 5.2 characters, 1% empty, 180 different words of 198',
        'source: word accuracy 0.900',
    ]
    assert report(Measured({}, {}, {}), {}, ['global']) == []


def test_the_start_is_beside_what_is_compared_with_it():
    lines = report(Measured(SCALARS, {}, {}), SCALARS | {'source/word_accuracy': 0.95}, [])
    assert '5.2 characters (first 5.2)' in lines[0] and lines[1].endswith('0.900 (first 0.950)')


def test_a_gate_shows_the_classes_at_both_ends_that_have_enough_characters():
    classes = {char: (i / 10, 5) for i, char in enumerate('abcdefgh')} | {'z': (0.0, 4)}
    gate = GateRates(dict(source=0.9, target=0.4), classes)
    (line,) = report(Measured({}, dict(local=gate), {}), {}, ['local'])
    assert line == (
        "local: the gate passes 90% of the source and 40% of the target ('a' 0% 'b' 10% 'c' 20% "
        "'f' 50% 'g' 60% 'h' 70%)"
    )
    gate = GateRates({}, {})
    assert report(Measured({}, dict(local=gate), {}), {}, ['local']) == [
        'local: the gate passes no character'
    ]
