"""The metric without labels: its numbers, its cap, and that it never looks at a label."""

import copy
import random

import pytest
import torch
from helpers.processes import run_ranks
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmocr.evaluation import MultiDatasetsEvaluator

from mmocr_da.evaluation import (
    CharacterLanguageModel,
    certainty,
    information,
    label_free_metric,
    length_plausibility,
    normalized_edit_distance,
)
from mmocr_da.evaluation.label_free_metric import SCORES, draw_rows
from mmocr_da.registry import METRICS

WORDS = ['ab', 'abc', 'ca', 'b']


def sample(i, text, label='ab'):
    generator = torch.Generator().manual_seed(i)
    rows = torch.randn(len(text), 5, generator=generator).softmax(1)
    return dict(
        img_path=f'{i}.png',
        gt_text=dict(item=label),
        pred_text=dict(item=text, probabilities=rows, confidence=0.1 + 0.01 * i, score=[]),
        pred_text_perturbed=dict(item=text[:-1]),
        pred_text_counterpart=dict(item=text.upper()),
    )


def samples(count=12):
    rng = random.Random(0)
    return [sample(i, ''.join(rng.choices('abc', k=rng.randrange(5)))) for i in range(count)]


def metric(**options):
    init_default_scope('mmocr')
    options = dict(dict(scores=SCORES, texts=WORDS), **options)
    return METRICS.build(dict(type='mmocr_da.LabelFreeMetric', **options))


def evaluated(given, batch_size=5, **options):
    built = metric(**options)
    for start in range(0, len(given), batch_size):
        built.process({}, given[start : start + batch_size])
    return built.evaluate(len(given))


def test_the_scores_are_those_of_the_predictions():
    given = samples()
    texts = [s['pred_text']['item'] for s in given]
    rows = torch.cat([s['pred_text']['probabilities'] for s in given])
    found = evaluated(given)
    assert list(found) == [f'label_free/{key}' for key in SCORES]
    expected = dict(
        certainty=certainty(rows),
        information=information(rows),
        confidence=sum(0.1 + 0.01 * i for i in range(12)) / 12,
        characters=CharacterLanguageModel(WORDS).plausibility(texts),
        lengths=length_plausibility(texts, WORDS),
        agreement=normalized_edit_distance(texts, [text[:-1] for text in texts]),
        teacher_agreement=normalized_edit_distance(texts, [text.upper() for text in texts]),
    )
    for key, value in expected.items():
        assert found[f'label_free/{key}'] == pytest.approx(value)
    assert all(type(value) is float for value in found.values())


def test_letter_case_is_ignored_where_texts_are_compared():
    found = evaluated(samples(), ignore_case=True, texts=[word.upper() for word in WORDS])
    assert found['label_free/teacher_agreement'] == 1
    assert found['label_free/characters'] == evaluated(samples())['label_free/characters']


def test_labels_do_not_matter():
    given = samples()
    others = copy.deepcopy(given)
    for i, other in enumerate(others):
        other['gt_text'] = dict(item='x' * i)
    del others[0]['gt_text']
    assert evaluated(given) == evaluated(others)


@pytest.mark.parametrize('most', [4, 7, 15])
def test_the_same_images_are_drawn_in_any_order(most):
    """Also where rows are dropped on the way, and however the images are divided."""
    given = samples(40)
    whole = metric()
    whole.process({}, given)
    kept = draw_rows(whole.results, most)
    assert 0 < kept <= most
    chosen = {r['order'] for r in whole.results if r['rows'] is not None and r['count']}
    for seed in range(3):
        shuffled = random.Random(seed).sample(given, len(given))
        built = metric(max_characters=most)
        for one in shuffled:
            built.process({}, [one])
            assert sum(r['count'] for r in built.results if r['rows'] is not None) <= 2 * most + 4
        draw_rows(built.results, most)
        assert {r['order'] for r in built.results if r['rows'] is not None and r['count']} == chosen


def test_a_text_that_is_longer_than_the_limit_is_kept_alone():
    results = [dict(order=bytes([i]), count=4, rows=torch.zeros(4, 2)) for i in (2, 1, 3)]
    assert draw_rows(results, 2) == 4
    assert [r['rows'] is None for r in results] == [True, False, True]


def test_what_is_left_out_is_said_once(monkeypatch):
    lines = []
    monkeypatch.setattr(label_free_metric, 'print_log', lambda text, **_: lines.append(text))
    built = metric(max_characters=6)
    for _ in range(2):
        built.process({}, samples())
        built.evaluate(12)
    total = sum(len(s['pred_text']['item']) for s in samples())
    assert len(lines) == 1 and f'characters of {total} (max_characters=6)' in lines[0]
    evaluated(samples())
    assert len(lines) == 1


def test_a_second_validation_knows_nothing_of_the_first():
    built = metric(max_characters=6)
    found = []
    for _ in range(2):
        built.process({}, samples())
        found.append(built.evaluate(12))
    assert found[0] == found[1]


def of_rank(rank):
    built = metric(max_characters=10)
    built.process({}, samples()[rank::2])
    return built.evaluate(12)


def test_two_processes_compute_what_one_computes():
    first, second = run_ranks(of_rank)
    assert first == second == pytest.approx(evaluated(samples(), max_characters=10))


def test_each_dataset_has_its_scores():
    init_default_scope('mmocr')
    cfg = dict(type='mmocr_da.LabelFreeMetric', scores=SCORES, texts=WORDS)
    evaluator = MultiDatasetsEvaluator([cfg], dataset_prefixes=['source', 'target'])
    evaluator.dataset_meta = dict(cumulative_sizes=[5, 12])
    evaluator.process(samples())
    found = evaluator.evaluate(12)
    for prefix, part in (('source', samples()[:5]), ('target', samples()[5:])):
        for key, value in evaluated(part).items():
            assert found[f'{prefix}/{key}'] == pytest.approx(value)


def test_texts_may_be_a_file(tmp_path):
    (tmp_path / 'words.txt').write_text('\n'.join(WORDS) + '\n\n')
    assert evaluated(samples(), texts=str(tmp_path / 'words.txt')) == evaluated(samples())
    with pytest.raises(ValueError, match='texts must be a list of texts or a file with one per'):
        metric(texts=str(tmp_path / 'none.txt'))


def test_without_texts_the_scores_of_texts_are_an_error():
    assert metric(texts=None).needs_texts and not metric(texts=None, scores=['snd']).needs_texts
    for key in ('characters', 'lengths'):
        with pytest.raises(ValueError, match='needs texts for characters and lengths, got none'):
            evaluated(samples(), texts=None, scores=[key])


@pytest.mark.parametrize('missing', ['pred_text', 'pred_text_perturbed'])
def test_predictions_without_what_the_hook_keeps_are_an_error(missing):
    given = samples()
    del given[3][missing]
    with pytest.raises(ValueError, match=r'got none for 3.png; add dict\(type=.mmocr_da.LabelFree'):
        evaluated(given)
    # What no score needs may be missing.
    if missing != 'pred_text':
        assert evaluated(given, scores=['confidence'])


def test_empty_predictions_alone_have_no_score():
    found = evaluated([sample(0, '')], scores=['certainty', 'snd', 'confidence'])
    assert found['label_free/confidence'] == 0.1
    assert found['label_free/certainty'] != found['label_free/certainty']


def test_unknown_scores_are_refused():
    with pytest.raises(ValueError, match='scores must be one of certainty, .*, got .accuracy'):
        metric(scores=['accuracy'])
    with pytest.raises(ValueError, match='at least one of'):
        metric(scores=[])


def test_an_evaluator_of_mmengine_gives_the_same():
    init_default_scope('mmocr')
    evaluator = Evaluator([dict(type='mmocr_da.LabelFreeMetric', scores=SCORES, texts=WORDS)])
    evaluator.process(samples())
    assert evaluator.evaluate(12) == evaluated(samples())


@pytest.mark.parametrize('sizes', [(60, 20), (20, 60), (40, 40)])
def test_each_dataset_has_its_own_limit(sizes):
    """The scores of a dataset are those that it has alone, also if rows were dropped before."""
    given = [sample(i, 'abcab') for i in range(sum(sizes))]
    options = dict(scores=['certainty', 'information'], max_characters=50)
    built = metric(**options)
    evaluator = MultiDatasetsEvaluator([built], ['source', 'target'])
    evaluator.dataset_meta = dict(cumulative_sizes=[sizes[0], sum(sizes)])
    for start in range(0, len(given), 5):
        evaluator.process(data_samples=given[start : start + 5], data_batch={})
    found = evaluator.evaluate(len(given))
    parts = dict(source=given[: sizes[0]], target=given[sizes[0] :])
    for name, part in parts.items():
        for key, value in evaluated(part, **options).items():
            assert found[f'{name}/{key}'] == pytest.approx(value, abs=0)


@pytest.mark.parametrize('name', ['LabelFreeMetric', 'DEVMetric'])
def test_texts_are_compared_in_a_unicode_form(name):
    built = METRICS.build(dict(type=f'mmocr_da.{name}', unicode_form='NFC'))
    assert built.options['unicode_form'] == 'NFC'
    with pytest.raises(ValueError, match='unicode_form'):
        METRICS.build(dict(type=f'mmocr_da.{name}', unicode_form='abc'))
