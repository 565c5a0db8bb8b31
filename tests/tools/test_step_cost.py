import re
from unittest.mock import patch

import pytest
from mmengine.config import Config

from mmocr_da.models.decoders.adapters import DecoderAdapter
from mmocr_da.models.recognizers import AdaptiveRecognizer
from mmocr_da.models.surrogates import LearnedSurrogate

#: A learned surrogate of texts.
SMALL = dict(channels=[4] * 5, hidden_channels=8, out_channels=4, max_distance=3, warmup=0)
CTC = dict(
    type='CRNNDecoder',
    in_channels=16,
    rnn_flag=False,
    module_loss=dict(type='CTCModuleLoss'),
    postprocessor=dict(type='CTCPostProcessor'),
)


@pytest.fixture
def run(load_tool, capsys):
    """Runs the tool with 2 + 2 images of 16 x 32 and returns what it prints."""
    module = load_tool('benchmarks/step_cost')

    def run(*arguments):
        arguments = [
            'step_cost.py',
            *map(str, arguments),
            '--steps',
            '3',
            '--half',
            '2',
            '--size',
            '16',
            '32',
        ]
        with patch('sys.argv', arguments):
            module.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def seen(monkeypatch):
    """``(images, texts, domains)`` of every step of an AdaptiveRecognizer, in order."""
    batches = []
    train_step = AdaptiveRecognizer.train_step

    def spy(self, data, optim_wrapper):
        samples = data['data_samples']
        batches.append(
            (data['inputs'], [s.gt_text.item for s in samples], [s.domain for s in samples])
        )
        return train_step(self, data, optim_wrapper)

    monkeypatch.setattr(AdaptiveRecognizer, 'train_step', spy)
    return batches


@pytest.fixture
def ctc(toy, tmp_path):
    """A config of a CTC recognizer for images of 3 channels, aligned as a whole."""
    cfg = Config.fromfile(toy)
    dictionary = dict(
        type='Dictionary', dict_file=cfg.model.decoder.dictionary.dict_file, with_padding=True
    )
    cfg.model.decoder = dict(CTC, dictionary=dictionary)
    cfg.model.backbone.in_channels = 3
    cfg.model.data_preprocessor = dict(
        type='TextRecogDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3
    )
    cfg.model.objectives = cfg.model.objectives[:1]
    del cfg.model['encoder']
    cfg.dump(tmp_path / 'ctc_recognizer.py')
    return tmp_path / 'ctc_recognizer.py'


def check(out, *names):
    """Two times and their ratio, as far as printed digits tell."""
    first, second, ratio = (
        float(re.search(f'^{name} +([0-9.]+)', out, re.MULTILINE)[1]) for name in (*names, 'ratio')
    )
    assert abs(first / second - ratio) < 0.02 * ratio


@pytest.mark.parametrize('options', [[], ['--plain']])
def test_it_prints_two_times_and_their_ratio(toy, run, options):
    check(run(toy, *options), 'adaptation', 'supervised')


def test_both_steps_have_the_same_images(toy, run, seen):
    """3 steps to warm up and 3 that count; the supervised ones have labels for all."""
    run(toy)
    assert len(seen) == 12
    for (images, texts, domains), (same, labels, sources) in zip(seen[::2], seen[1::2]):
        assert all(x.equal(y) for x, y in zip(images, same)) and images[0].shape == (1, 16, 32)
        assert domains == ['source', 'target'] * 2 and sources == ['source'] * 4
        assert texts == ['01234', ''] * 2 and labels == ['01234'] * 4
    assert not seen[0][0][0].equal(seen[2][0][0])


def test_against_another_config_with_the_same_images_in_more_channels(toy, ctc, run, seen):
    check(run(toy, '--against', ctc), 'toy', 'ctc_recognizer')
    assert len(seen) == 12
    for (images, texts, domains), (same, *rest) in zip(seen[::2], seen[1::2]):
        assert all(x.expand(3, -1, -1).equal(y) for x, y in zip(images, same))
        assert rest == [texts, domains] and texts == ['01234', ''] * 2


def test_a_ctc_recognizer_against_a_supervised_one(ctc, run):
    check(run(ctc), 'adaptation', 'supervised')


def test_a_plain_recognizer_has_labels_for_all(toy, run, tmp_path):
    plain = tmp_path / 'plain.py'
    cfg = Config.fromfile(toy)
    cfg.model.type = 'EncoderDecoderRecognizer'
    del cfg.model['objectives']
    cfg.dump(plain)
    check(run(toy, '--against', plain), 'toy', 'plain')


def test_each_config_has_its_own_checkpoint(toy, trained, load_tool):
    module = load_tool('benchmarks/step_cost')
    first, second = (str(trained / f'iter_{i}.pth') for i in (1, 2))
    loaded = []
    arguments = [
        'step_cost.py',
        str(toy),
        '--checkpoint',
        first,
        '--against',
        str(toy),
        '--against-checkpoint',
        second,
        '--steps',
        '1',
        '--half',
        '2',
    ]
    with (
        patch('sys.argv', arguments),
        patch.object(module, 'load_checkpoint', lambda _, path, **__: loaded.append(path)),
    ):
        module.main()
    assert loaded == [first, second]


@pytest.mark.parametrize(
    'options', [['--against', 'other.py', '--plain'], ['--against-checkpoint', 'other.pth']]
)
def test_options_that_do_not_go_together_are_an_error(run, options):
    with pytest.raises(SystemExit):
        run('config.py', *options)


@pytest.fixture
def tuning(toy, tmp_path):
    """A config that tunes the toy's recognizer on the learned edit distance."""

    def make(**surrogate):
        cfg = Config.fromfile(toy)
        cfg.model.objectives = [
            dict(
                type='mmocr_da.LSEDLoss',
                surrogate=dict(SMALL, **surrogate),
            )
        ]
        cfg.model.supervised_weight = 0
        cfg.dump(tmp_path / 'tuning.py')
        return tmp_path / 'tuning.py'

    return make


def test_steps_of_a_surrogate_and_of_the_model_it_tunes(run, seen, tuning, monkeypatch):
    learns, supervised = [], []
    fit, loss = LearnedSurrogate.fit, DecoderAdapter.loss
    monkeypatch.setattr(
        LearnedSurrogate, 'fit', lambda *args: learns.append(len(seen)) or fit(*args)
    )
    monkeypatch.setattr(
        DecoderAdapter, 'loss', lambda *args: supervised.append(len(seen)) or loss(*args)
    )
    out = run(tuning(warmup=2))
    for name in ('surrogate step', 'model step', 'supervised'):
        assert re.search(rf'^{name} +\d+\.\d ms / step$', out, re.M)
    assert re.findall(r'^ratio (.*?) +[\d.]+$', out, re.M) == ['surrogate step', 'model step']
    # In turns, on the same images, all of them labelled; the last is trained by cross-entropy.
    assert learns == [*range(1, 19, 3)] and supervised == [*range(3, 19, 3)]
    assert len(seen) == 18 and all(domains == ['source'] * 4 for *_, domains in seen)
    assert all(
        a[0] is not b[0] and [x.tolist() for x in a[0]] == [x.tolist() for x in b[0]]
        for a, b in zip(seen[::3], seen[1::3])
    )


def test_a_surrogate_that_only_learns_has_no_model_step(run, tuning):
    assert re.findall('^ratio (.*?) +[0-9]', run(tuning(model_steps=0)), re.M) == ['surrogate step']


def test_a_step_of_both(run, tuning):
    out = run(tuning(alternate=False))
    assert re.findall('^ratio (.*?) +[0-9]', out, re.M) == ['step of both']
    out = run(tuning(alternate=False, warmup=2))
    assert re.findall('^ratio (.*?) +[0-9]', out, re.M) == ['surrogate step', 'step of both']


def test_a_loss_of_the_source_alone_has_labels_for_all(run, seen, toy, tmp_path):
    cfg = Config.fromfile(toy)
    cfg.model.update(objectives=[dict(type='mmocr_da.MinimumRisk')], supervised_weight=0)
    cfg.dump(tmp_path / 'risk.py')
    check(run(tmp_path / 'risk.py'), 'adaptation', 'supervised')
    assert len(seen) == 12 and all(domains == ['source'] * 4 for *_, domains in seen)
