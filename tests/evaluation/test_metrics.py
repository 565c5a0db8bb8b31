import multiprocessing
import pickle
import random

import pytest
import torch.distributed
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.structures import LabelData
from mmocr.evaluation import MultiDatasetsEvaluator
from mmocr.structures import TextRecogDataSample

import mmocr_da.evaluation.functional as F
from mmocr_da.evaluation import metrics
from mmocr_da.registry import METRICS

TEXTS = [('abc', 'abc'), ('abc', 'abd'), ('ABC', 'abc'), ("a'bc", 'ABC'), ('', 'xyz'), ('', '')]


def sample(prediction, ground_truth, **others):
    """A prediction and its ground truth, and other predictions by the names of their fields."""
    data_sample = TextRecogDataSample(metainfo=dict(img_path='some.png'))
    for field, text in dict(others, pred_text=prediction).items():
        data_sample.set_data({field: LabelData(item=text, score=[1.0])})
    if ground_truth is not None:
        data_sample.gt_text = LabelData(item=ground_truth)
    return data_sample


def evaluate(pairs, *metrics, batch_size=4):
    init_default_scope('mmocr')
    evaluator = Evaluator(list(metrics) or [dict(type='mmocr_da.TextErrorMetric')])
    samples = [sample(*pair) for pair in pairs]
    for i in range(0, len(samples), batch_size):
        evaluator.process(samples[i : i + batch_size])
    return evaluator.evaluate(len(samples))


def random_pairs(num=50):
    rng = random.Random(0)
    words = [''.join(rng.choices("abAB'!", k=rng.randrange(1, 5))) for _ in range(2 * num)]
    return list(zip(words[:num], words[num:])) + TEXTS


def test_numbers_by_hand():
    results = evaluate(TEXTS)
    assert results == {
        # abd 1, ABC 3, a'bc -> ABC 4 (every letter and the symbol), xyz 3; 15 characters
        'recog/cer': 11 / 15,
        'recog/wer': 4 / 6,
        'recog/ted': 11,
        'recog/ned': pytest.approx((1 + 2 / 3 + 0 + 0 + 0 + 1) / 6),
        'recog/ed1': 3 / 6,
        'recog/word_acc': 2 / 6,
        'recog/word_acc_ignore_case': 3 / 6,
        'recog/word_acc_ignore_case_symbol': 4 / 6,
    }


def test_accuracies_and_ned_agree_with_mmocr():
    ours = dict(
        type='mmocr_da.TextErrorMetric', prefix='ours', ignore_case=True, ignore_symbols=True
    )
    theirs = dict(type='WordMetric', mode=['exact', 'ignore_case', 'ignore_case_symbol'])
    results = evaluate(random_pairs(), ours, theirs, dict(type='OneMinusNEDMetric', prefix='ned'))
    for key in ('word_acc', 'word_acc_ignore_case', 'word_acc_ignore_case_symbol'):
        assert results[f'ours/{key}'] == pytest.approx(results[f'recog/{key}'], abs=6e-5)
    assert results['ours/ned'] == pytest.approx(results['ned/1-N.E.D'], abs=6e-5)


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(ignore_case=True),
        dict(ignore_symbols=True),
        dict(ignore_case=True, ignore_symbols=True),
    ],
)
def test_options_normalize_both_texts_before_the_error_rates(options):
    pairs = random_pairs()
    results = evaluate(pairs, dict(type='mmocr_da.TextErrorMetric', **options))
    texts = [[F.normalize(text, **options) for text in column] for column in zip(*pairs)]
    assert results['recog/cer'] == F.character_error_rate(*texts)
    assert results['recog/wer'] == F.word_error_rate(*texts)
    assert results['recog/ted'] == F.total_edit_distance(*texts)
    assert results['recog/ed1'] == F.accuracy_within_one_edit(*texts)


@pytest.fixture
def log(monkeypatch):
    lines = []
    monkeypatch.setattr(metrics, 'print_log', lambda text, **_: lines.append(text))
    return lines


def test_wrong_predictions_in_korean_are_wrong_in_every_accuracy(log):
    results = evaluate([('\ud55c', '\uad6d'), ('\ud55c', '\ud55c')])
    assert [value for key, value in results.items() if 'word_acc' in key] == [0.5] * 3
    assert log == []


def test_ground_truths_of_symbols_only_are_counted_once(log):
    init_default_scope('mmocr')
    metric = METRICS.build(dict(type='mmocr_da.TextErrorMetric'))
    for _ in range(2):
        metric.process({}, [sample(*p).to_dict() for p in [('a', '&'), ('?', '!!'), ('b', 'b')]])
        metric.evaluate(3)
    assert len(log) == 1
    assert log[0].startswith('2 of 3 ground truths consist of symbols only')
    assert "for example ['&', '!!']" in log[0]


def test_texts_that_differ_in_their_unicode_form_only_are_counted(log):
    pairs = [('\u00e9', 'e\u0301'), ('a', 'a'), ('b', 'c')]
    metric = dict(type='mmocr_da.TextErrorMetric')
    assert evaluate(pairs, metric)['recog/word_acc'] == 1 / 3
    assert len(log) == 1 and log[0].startswith('1 of 3 ground truths differ')
    assert "unicode_form='NFC'" in log[0]
    log.clear()
    results = evaluate(pairs, dict(metric, unicode_form='NFC'))
    assert results['recog/word_acc'] == 2 / 3 and results['recog/ted'] == 1 and log == []
    with pytest.raises(ValueError, match="one of NFC, NFD, NFKC, NFKD or None, got 'nfc'"):
        evaluate(pairs, dict(metric, unicode_form='nfc'))


def test_batches_do_not_change_the_numbers():
    pairs = random_pairs()
    assert evaluate(pairs, batch_size=1) == evaluate(pairs, batch_size=len(pairs))


def evaluate_domains(source, target):
    init_default_scope('mmocr')
    evaluator = MultiDatasetsEvaluator(
        [dict(type='mmocr_da.TextErrorMetric')], dataset_prefixes=['source', 'target']
    )
    evaluator.dataset_meta = dict(cumulative_sizes=[len(source), len(source) + len(target)])
    evaluator.process([sample(*pair) for pair in source + target])
    return evaluator.evaluate(len(source) + len(target))


def test_each_domain_gets_the_numbers_it_gets_alone():
    source, target = random_pairs(7), TEXTS
    results = evaluate_domains(source, target)
    for prefix, pairs in (('source', source), ('target', target)):
        for key, value in evaluate(pairs).items():
            assert results.pop(f'{prefix}/{key}') == value
    assert not results


def test_all_values_are_floats():
    assert all(type(value) is float for value in evaluate(TEXTS).values())


def test_a_sample_without_text_is_an_error_that_names_the_image():
    with pytest.raises(
        ValueError,
        match=r'needs data samples with gt_text.item, got none for '
        r'some.png',
    ):
        evaluate([('abc', 'abc'), ('abc', None)])


def test_a_dataset_without_any_text_is_an_error():
    with pytest.raises(
        ValueError, match='needs texts to compare with, got only empty ones for all 2 images'
    ):
        evaluate([('abc', ''), ('', '')])


def test_one_empty_ground_truth_among_others_counts():
    results = evaluate([('ab', ''), ('x', 'x')])
    assert (results['recog/cer'], results['recog/word_acc']) == (2, 1 / 2)


def test_another_prediction_gets_the_numbers_it_gets_as_the_prediction():
    init_default_scope('mmocr')
    pairs, others = random_pairs(), random_pairs()[::-1]
    metric = METRICS.build(dict(type='mmocr_da.TextErrorMetric', prediction='pred_text_source'))
    metric.process(
        {},
        [sample(*pair, pred_text_source=other[0]).to_dict() for pair, other in zip(pairs, others)],
    )
    wanted = evaluate([(other[0], pair[1]) for pair, other in zip(pairs, others)])
    assert metric.evaluate(len(pairs)) == wanted
    assert wanted != evaluate(pairs)


def test_a_prediction_that_is_missing_is_an_error_that_names_it():
    with pytest.raises(
        ValueError,
        match=r"TextErrorMetric\(prediction='pred_text_target'\) got "
        'data samples without this field',
    ):
        evaluate(TEXTS, dict(type='mmocr_da.TextErrorMetric', prediction='pred_text_target'))


def test_two_predictions_stand_side_by_side_for_each_domain():
    init_default_scope('mmocr')
    rows = dict(
        source=[('ab', 'ab', 'ab', 'xx'), ('cd', 'cd', 'ce', 'cd')],
        target=[('ef', 'ef', 'e', 'ef'), ('', 'gh', 'gh', ''), ('ij', 'ij', 'ji', 'ij')],
    )
    evaluator = MultiDatasetsEvaluator(
        [
            dict(type='mmocr_da.TextErrorMetric'),
            dict(type='mmocr_da.TextErrorMetric', prediction='pred_text_source', prefix='C_s'),
            dict(type='mmocr_da.TextErrorMetric', prediction='pred_text_target', prefix='C_t'),
        ],
        dataset_prefixes=['source', 'target'],
    )
    evaluator.dataset_meta = dict(cumulative_sizes=[2, 5])
    evaluator.process(
        [
            sample(prediction, ground_truth, pred_text_source=s, pred_text_target=t)
            for half in rows.values()
            for prediction, ground_truth, s, t in half
        ]
    )
    results = evaluator.evaluate(5)
    for domain, half in rows.items():
        for prefix, column in (('recog', 0), ('C_s', 2), ('C_t', 3)):
            alone = evaluate([(row[column], row[1]) for row in half])
            for key, value in alone.items():
                assert results.pop(f'{domain}/{prefix}/{key.split("/")[1]}') == value
    assert not results


def _evaluate_rank(rank, folder):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/init', rank=rank, world_size=2
    )
    pairs = random_pairs(4)
    pairs = pairs[: len(pairs) // 2 * 2 - 1]
    init_default_scope('mmocr')
    metric = METRICS.build(dict(type='mmocr_da.TextErrorMetric'))
    # As DistributedSampler: every other image, and the first again to make the ranks even.
    metric.process({}, [sample(*pair).to_dict() for pair in (pairs + pairs[:1])[rank::2]])
    results = metric.evaluate(len(pairs))
    with open(f'{folder}/{rank}.pkl', 'wb') as f:
        pickle.dump((results, evaluate_one_process(pairs)), f)


def evaluate_one_process(pairs):
    columns = list(zip(*pairs))
    return F.character_error_rate(*columns), F.total_edit_distance(*columns)


def test_two_ranks_give_the_numbers_of_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MMEngine collects in a folder of the current directory
    context = multiprocessing.get_context('fork')
    ranks = [context.Process(target=_evaluate_rank, args=(r, str(tmp_path))) for r in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
        assert process.exitcode == 0
    for rank in range(2):
        results, (cer, ted) = pickle.loads((tmp_path / f'{rank}.pkl').read_bytes())
        assert (results['recog/cer'], results['recog/ted']) == (cer, ted)


def test_dump_holds_every_domain(tmp_path):
    init_default_scope('mmocr')
    out_file = str(tmp_path / 'predictions.pkl')
    evaluator = MultiDatasetsEvaluator(
        [dict(type='mmocr_da.DumpPredictions', out_file_path=out_file)],
        dataset_prefixes=['source', 'target'],
    )
    evaluator.dataset_meta = dict(cumulative_sizes=[2, len(TEXTS)])
    evaluator.process([sample(*pair) for pair in TEXTS])
    assert evaluator.evaluate(len(TEXTS)) == {}
    dumped = pickle.loads((tmp_path / 'predictions.pkl').read_bytes())
    assert [(d['pred_text']['item'], d['gt_text']['item']) for d in dumped] == TEXTS
