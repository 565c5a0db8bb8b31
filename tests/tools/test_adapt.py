"""One command from a checkpoint and images to a better recognizer, its config and its page."""

import json
import os
import shutil
import sys
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest
import torch
from helpers.files import hashes
from helpers.pages import parsed
from helpers.recognizers import WORDS, make_recognizer
from mmengine.config import Config
from mmengine.hooks import Hook
from mmocr.apis import TextRecInferencer

import mmocr_da
from mmocr_da.adaptation import run

FAST = ('train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False')


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    made = {}

    def folder(decoder='attention'):
        if decoder not in made:
            made[decoder] = make_recognizer(tmp_path_factory.mktemp(decoder), decoder)
        return made[decoder]

    return folder


@pytest.fixture
def adapt(run_tool, tmp_path, tiny):
    """Run the tool: ``adapt(*arguments, root=..., out=..., options=...)``, returns the folder."""

    def call(*arguments, root=None, out='out', iters=3, options=()):
        root = root or tiny()
        given = [str(argument) for argument in arguments]
        if '--target' not in given:
            given += ['--target', root / 'target']
        run_tool(
            'adapt', root / 'tiny.py', root / 'tiny.pth', *given, '--work-dir', tmp_path / out,
            '--max-iters', iters, '--batch-size', 4, '--cfg-options', *FAST, *options,
        )  # fmt: skip
        return tmp_path / out

    return call


def weights(path):
    return torch.load(path, weights_only=False)['state_dict']


def same(first, second):
    return first.keys() == second.keys() and all(map(torch.equal, first.values(), second.values()))


@pytest.mark.parametrize('decoder', ['attention', 'ctc'])
@pytest.mark.parametrize('source', ['config', 'rendered', 'labels.tsv', 'none'])
def test_from_a_checkpoint_to_a_plain_recognizer_and_a_page(adapt, tiny, decoder, source, capsys):
    root = tiny(decoder)
    source = root / source if '.' in source else source
    labels = root / 'target.tsv'
    labels.write_text(''.join(f'deep/er/{i}.png\t{word}\n' for i, word in enumerate(WORDS)))
    out = adapt('--source', source, '--eval', labels, root=root)
    assert {path.name for path in out.iterdir() if path.name[0] != '.'} >= {
        'adapt.json', 'adaptation.html', 'checks.txt', 'exported', 'tiny_adapted.py', 'training',
        'views.png',
    }  # fmt: skip
    printed, page = capsys.readouterr().out, parsed(out / 'adaptation.html')
    assert (out / 'checks.txt').read_text() in printed
    for text in ('word accuracy', '12 of 12 images have a label'):
        assert text in printed and text in page.text
    assert {'health', 'curves-of-the-training', 'config', 'use-the-result'} >= {*page.headings[-2:]}
    assert ' s for a step on ' in printed
    # What the page names is there, and MMOCR alone reads it.
    config, checkpoint = (out / 'exported' / f'tiny_adapted.{suffix}' for suffix in ('py', 'pth'))
    assert str(config) in page.text and 'mmocr_da' not in config.read_text()
    image = str(next((root / 'target').rglob('*.png')))
    predicted = TextRecInferencer(str(config), str(checkpoint), device='cpu')(image)['predictions']
    assert isinstance(predicted[0]['text'], str)
    # It is the teacher of the last iteration, and has moved.
    trained = weights(out / 'training' / 'iter_3.pth')
    teacher = {
        key.removeprefix('objectives.self_training.teacher.'): value
        for key, value in trained.items()
        if '.teacher.' in key
    }
    assert same(weights(checkpoint), {key: teacher[key] for key in weights(checkpoint)})
    assert not same(weights(checkpoint), weights(root / 'tiny.pth'))


def test_the_written_config_alone_does_the_same_training(adapt, run_tool, tmp_path):
    out = adapt('--seed', 5)
    options = ['--cfg-options', *FAST]
    assert (
        f'tiny_adapted.py \\\\\n        {" ".join(options)}'
        in (out / 'tiny_adapted.py').read_text()
    )
    run_tool('train', out / 'tiny_adapted.py', '--work-dir', tmp_path / 'alone', *options)
    trained = weights(out / 'training' / 'iter_3.pth')
    assert same(weights(tmp_path / 'alone' / 'iter_3.pth'), trained)


def test_a_dry_run_stops_after_the_checks_and_the_run_takes_its_config(adapt):
    out = adapt('--dry-run')
    assert not (out / 'training').exists() and not (out / 'exported').exists()
    before = hashes(out)
    adapt()
    after = hashes(out)
    written = ('tiny_adapted.py', 'checks.txt', 'views.png', 'adapt.json')
    assert {name: after[name] for name in written} == {name: before[name] for name in written}
    assert (out / 'adaptation.html').exists()


def test_a_name_without_a_checkpoint_takes_the_published_weights(run_tool, tiny, tmp_path):
    root, name = tiny(), 'small-aster_printed-numbers'
    run_tool(
        'adapt', name, '--target', root / 'target', '--source', 'rendered', '--dry-run',
        '--work-dir', tmp_path / 'out', '--batch-size', 4, '--cfg-options', *FAST,
    )  # fmt: skip
    cfg = Config.fromfile(tmp_path / 'out' / f'{name}_adapted.py')
    assert Path(cfg.load_from).name == f'{name}.pth' and Path(cfg.load_from).exists()
    with pytest.raises(ValueError, match='no weights are published'):
        run_tool('adapt', root / 'tiny.py', '--target', root / 'target')


class Killed(Hook):
    """Ends the process in an iteration."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 2:
            raise KeyboardInterrupt


def test_the_same_command_resumes_and_does_nothing_twice(adapt, monkeypatch):
    straight = adapt(out='straight', iters=4)
    train = run.train
    monkeypatch.setattr(run, 'train', lambda cfg: train(cfg, hooks=[Killed()]))
    with pytest.raises(KeyboardInterrupt):
        adapt(out='killed', iters=4)
    monkeypatch.setattr(run, 'train', train)
    killed = straight.parent / 'killed'
    assert not (killed / 'exported').exists()
    adapt(out='killed', iters=4)
    last = 'training/iter_4.pth'
    assert same(weights(killed / last), weights(straight / last))
    assert same(
        weights(killed / 'exported/tiny_adapted.pth'),
        weights(straight / 'exported/tiny_adapted.pth'),
    )
    before = hashes(killed)
    monkeypatch.setattr(run, 'train', None)  # would be an error
    adapt(out='killed', iters=4)
    assert hashes(killed) == before


def test_other_arguments_are_an_error_that_says_which(adapt, tiny):
    out = adapt('--dry-run')
    before = hashes(out)
    with pytest.raises(ValueError, match=r'with other arguments \(seed: 0 -> 3\); choose another'):
        adapt('--dry-run', '--seed', 3)
    with pytest.raises(ValueError, match=r'max_iters: 3 -> 9'):
        adapt('--dry-run', iters=9)
    assert hashes(out) == before


@pytest.fixture
def inputs(tmp_path):
    """Data of a recognizer that a test may change."""
    (tmp_path / 'inputs').mkdir()
    return make_recognizer(tmp_path / 'inputs')


@pytest.mark.parametrize(
    'options, message',
    [
        ('train_dataloader.batch_size=6', 'batch_size must equal .* got 6 and 4'),
        ('optim_wrapper.type=AmpOptimWrapper', 'mixed precision .* needs a GPU'),
        ('param_scheduler.0.by_epoch=True', 'param_scheduler must count iterations'),
        (
            'default_hooks.stop.type=EarlyStoppingHook default_hooks.stop.monitor=word_acc',
            'EarlyStoppingHook.* needs a validation',
        ),
        ('default_hooks.checkpoint.save_best=word_acc', "save_best='word_acc' needs a validation"),
        ('train_cfg.max_iters=50', 'must be --max-iters, 3, .* got 50 by --cfg-options; give'),
    ],
)
def test_what_a_training_refuses_at_its_start_is_refused_by_the_dry_run(
    adapt, tmp_path, monkeypatch, options, message
):
    monkeypatch.setattr('mmocr_da.engine.launch.get_device', lambda: 'cpu')
    with pytest.raises(ValueError, match=message):
        adapt('--dry-run', options=options.split())
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    'check',
    [
        'check_training',
        'OperatorsHook.before_run',
        'SettingsHook.before_train',
        'CTCFitHook.before_train',
    ],
)
def test_the_dry_run_makes_every_check_of_the_start(adapt, tmp_path, monkeypatch, check):
    def refuse(*_):
        raise ValueError(f'refused by {check}')

    monkeypatch.setattr(f'mmocr_da.engine.rehearsal.{check}', refuse)
    with pytest.raises(ValueError, match=f'refused by {check}'):
        adapt('--dry-run')
    assert not (tmp_path / 'out').exists()


def test_the_report_has_the_settings_of_the_user(adapt):
    lr = 'optim_wrapper.optimizer.lr=1e-4'
    sizes = ('train_dataloader.batch_size=6', 'train_dataloader.sampler.batch_size=6')
    report = (adapt('--dry-run', options=[lr, *sizes]) / 'checks.txt').read_text()
    assert 'learning rate: 0.0001 of AdamW (as you set it)' in report and '0.0003' not in report
    assert 'batch size: 6 (as you set it)' in report
    report = (adapt('--dry-run', out='plain') / 'checks.txt').read_text()
    assert 'learning rate: 0.0003 of AdamW (at most' in report and 'as you' not in report
    assert ': 3 iterations take' in report


def test_initial_weights_that_are_not_there_are_not_needed(adapt, inputs):
    text = (inputs / 'tiny.py').read_text()
    lost = "init_cfg=dict(type='Pretrained', checkpoint='/no/such.pth')"
    changed = text.replace("type='ResNet',", f"type='ResNet', {lost},")
    assert changed != text
    (inputs / 'tiny.py').write_text(changed)
    out = adapt(root=inputs)
    assert (out / 'adaptation.html').exists()
    told = 'initial weights are not loaded, as the checkpoint has all: model.backbone.init_cfg'
    assert told in (out / 'checks.txt').read_text()
    assert '--cfg-options model.backbone.init_cfg=None' in (out / 'tiny_adapted.py').read_text()
    adapt(root=inputs)


def test_inputs_that_change_after_a_dry_run_are_checked_again(adapt, inputs):
    table = inputs / 'labels.tsv'
    out = adapt('--dry-run', '--source', table, root=inputs)
    assert f'{len(WORDS)} images' in (out / 'checks.txt').read_text()
    shutil.copy(inputs / 'target/deep/er/0.png', inputs / 'target/more.png')
    adapt('--dry-run', '--source', table, root=inputs)
    assert f'{len(WORDS) + 1} images' in (out / 'checks.txt').read_text()
    table.write_text(table.read_text().split('\n', 1)[1])
    adapt('--dry-run', '--source', table, root=inputs)
    assert f'{len(WORDS) - 1} labelled images' in (out / 'checks.txt').read_text()


def test_inputs_that_change_during_the_training_are_an_error(adapt, inputs, monkeypatch):
    train = run.train
    monkeypatch.setattr(run, 'train', lambda cfg: train(cfg, hooks=[Killed()]))
    with pytest.raises(KeyboardInterrupt):
        adapt(root=inputs)
    monkeypatch.setattr(run, 'train', train)
    image = inputs / 'target/deep/er/0.png'
    content = image.read_bytes()
    image.unlink()
    with pytest.raises(ValueError, match='since then these have changed: the target, 12 -> 11 im'):
        adapt(root=inputs)
    image.write_bytes(content)
    # The same content that is copied again is no change.
    for name in ('tiny.py', 'tiny.pth', 'target/deep/er/0.png'):
        os.utime(inputs / name, (1, 1))
    out = adapt(root=inputs)
    # When it is done, what is there stays.
    image.unlink()

    def made():
        return {name: value for name, value in hashes(out).items() if not name.endswith('.log')}

    before = made()
    adapt(root=inputs)
    assert made() == before


def test_labels_may_come_after_the_training(adapt, inputs, monkeypatch):
    out = adapt(root=inputs)
    assert 'have a label' not in parsed(out / 'adaptation.html').text
    monkeypatch.setattr(run, 'train', None)  # would be an error
    labels = inputs / 'some.tsv'
    for number in (3, 5, 5):
        rows = [f'deep/er/{i}.png\t{word}\n' for i, word in enumerate(WORDS)]
        labels.write_text(''.join(rows[:number]))
        adapt('--eval', labels, root=inputs)
        text = parsed(out / 'adaptation.html').text
        assert f'{number} of 12 images have a label' in text
    before = hashes(out)
    adapt('--eval', labels, root=inputs)
    adapt(root=inputs)
    assert hashes(out) == before


def test_a_work_directory_among_the_images_is_refused(adapt, inputs, tmp_path):
    with pytest.raises(ValueError, match='--work-dir must lie outside of the target'):
        adapt('--dry-run', root=inputs, out='inputs/target/out')
    assert not (inputs / 'target' / 'out').exists()
    with pytest.raises(ValueError, match='--work-dir must be a folder without quotes'):
        adapt('--dry-run', root=inputs, out="it's")


def test_an_edited_config_is_kept_and_the_way_to_train_it_named(adapt):
    out = adapt('--dry-run')
    config = out / 'tiny_adapted.py'
    config.write_text(config.read_text().replace('strength=1.0', 'strength=0.5') + '\n# mine\n')
    with pytest.raises(ValueError, match='was edited. Train what it says by python tools/train.py'):
        adapt()
    assert config.read_text().endswith('# mine\n')


def test_a_file_of_the_user_is_not_overwritten(adapt, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'views.png').write_text('mine')
    with pytest.raises(ValueError, match='views.png exists and was not written by tools/adapt.py'):
        adapt()
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['views.png']


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--target', '/no/such'], "target must be a folder of images, got '/no/such'"),
        (['--source', 'renderd'], 'source must be config, rendered, none or a path'),
        (['--lexicon', 'words.txt'], 'lexicon and fonts are for --source rendered'),
        (['--eval', '/no/labels.tsv'], "--eval needs a file with rows .* '/no/labels.tsv'"),
    ],
)
def test_what_cannot_work_is_an_error_and_leaves_nothing(adapt, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        adapt(*arguments)
    assert not (tmp_path / 'out').exists()


def test_a_checkpoint_of_another_recognizer_leaves_nothing(adapt, tiny, tmp_path):
    root = tmp_path / 'other'
    shutil.copytree(tiny(), root)
    shutil.copy(tiny('ctc') / 'tiny.pth', root / 'tiny.pth')
    text = (root / 'tiny.py').read_text().replace(str(tiny()), str(root))
    (root / 'tiny.py').write_text(text)
    with pytest.raises(ValueError, match='must have all weights of the AdaptiveRecognizer'):
        adapt(root=root)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('bright', [0, 3])
def test_augmented_text_of_both_domains_is_as_bright_as_that_of_the_target(adapt, tmp_path, bright):
    (tmp_path / 'images').mkdir()
    for i in range(10):
        image = np.full((16, 48), 220, np.uint8)
        image[5:9, 8:30] = 30
        cv2.imwrite(str(tmp_path / f'images/{i}.png'), 255 - image if i < bright else image)
    out = adapt('--dry-run', '--target', tmp_path / 'images')
    dataset = Config.fromfile(out / 'tiny_adapted.py').train_dataloader.dataset
    source = next(step for step in dataset.pipeline if 'TextAugmentation' in step.type)
    assert dataset.target_pipeline[-1].strong[0] == source
    assert source.bright_text == bright / 10
    told = f'text of {10 * bright}% of the target images is brighter than its background'
    assert told in (out / 'checks.txt').read_text()


def test_few_images_make_a_smaller_batch_and_it_is_told(adapt, tiny, tmp_path):
    (tmp_path / 'few').mkdir()
    shutil.copy(tiny() / 'target/deep/er/0.png', tmp_path / 'few')
    out = adapt('--dry-run', '--target', tmp_path / 'few')
    assert (
        'batches have 2 images instead of 4, as the target has 1'
        in (out / 'checks.txt').read_text()
    )
    assert Config.fromfile(out / 'tiny_adapted.py').batch_size == 2


def test_the_function_is_the_tool(adapt, tiny, tmp_path):
    root = tiny()
    options = {'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False}
    earlier = adapt('--source', 'config', out='earlier', iters=2)
    result = mmocr_da.adapt(
        root / 'tiny.py', root / 'tiny.pth', root / 'target', work_dir=str(tmp_path / 'out'),
        max_iters=2, batch_size=4, cfg_options=options,
    )  # fmt: skip
    assert result.exported_config.is_file() and result.exported_checkpoint.is_file()
    assert len(result.change.paths) == len(WORDS) and result.change.scores is None
    record = json.loads((tmp_path / 'out' / 'adapt.json').read_text())['arguments']
    assert record['max_iters'] == 2 and record['source'] == ['config']
    # A second run of a program draws its own curves.
    for folder in (earlier, tmp_path / 'out'):
        (curves,) = folder.glob('training/*/vis_data/scalars.json')
        lines = curves.read_text().splitlines()
        assert len([line for line in lines if 'lr' in json.loads(line)]) == 1


def test_the_best_checkpoint_by_a_score_is_exported(adapt):
    """One that differs from the last one, as the fourth of four validations has the lowest score.

    The scores themselves are set here: what they are is tested with their metric.
    """
    values = iter([0.1, 0.7, 0.7, 0.3])
    score = 'mmocr_da.evaluation.label_free_metric.OF_PROBABILITIES'
    with patch.dict(score, information=lambda _: next(values)):
        out = adapt('--keep', 'information', iters=4)
    (best,) = (out / 'training').glob('best_*.pth')
    assert best.name == 'best_label_free_information_iter_2.pth'
    exported = weights(out / 'exported' / 'tiny_adapted.pth')
    trained = weights(best)
    teacher = 'objectives.self_training.teacher.'
    assert all(torch.equal(value, trained[teacher + key]) for key, value in exported.items())
    last = weights(out / 'training' / 'iter_4.pth')
    assert not same(exported, {key: last[teacher + key] for key in exported})
    assert 'mmocr_da' not in (out / 'exported' / 'tiny_adapted.py').read_text()


def test_what_the_tool_needs_is_imported_only_with_it():
    assert callable(mmocr_da.adapt)
    with pytest.raises(AttributeError, match="has no attribute 'adopt'"):
        mmocr_da.adopt
    assert Path(sys.modules['mmocr_da.adaptation'].__file__).parent.name == 'adaptation'
