import argparse
import os
import pickle
import re
from unittest.mock import patch

import pytest
import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader

from mmocr_da.engine import launch


def test_resume_starts_from_load_from_while_there_is_nothing_to_resume(tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path), load_from='source_only.pth'))
    launch.set_resume(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (False, 'source_only.pth')


@pytest.mark.parametrize('written', ['elsewhere/iter_7.pth', '{work_dir}/iter_7.pth'])
def test_resume_finds_the_last_checkpoint_of_a_moved_work_dir(tmp_path, written):
    (tmp_path / 'iter_7.pth').touch()
    (tmp_path / 'last_checkpoint').write_text(written.format(work_dir=tmp_path))
    cfg = Config(dict(work_dir=str(tmp_path), load_from='source_only.pth'))
    launch.set_resume(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / 'iter_7.pth'))


def test_resume_takes_the_checkpoint_it_is_given(tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path), load_from='source_only.pth'))
    launch.set_resume(cfg, 'iter_3.pth')
    assert (cfg.resume, cfg.load_from) == (True, 'iter_3.pth')


def test_amp_switches_the_wrapper(monkeypatch):
    cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper')))
    launch.enable_amp(cfg)
    assert cfg.optim_wrapper == dict(type='AmpOptimWrapper', loss_scale='dynamic')
    monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')
    launch.check_amp(cfg)
    with pytest.raises(ValueError, match="got 'OptimWrapperDict'"):
        launch.enable_amp(Config(dict(optim_wrapper=dict(type='OptimWrapperDict'))))


@pytest.mark.parametrize('share', [0.001, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize('zipped', [True, False])
def test_a_checkpoint_that_is_cut_anywhere_is_an_error(tmp_path, share, zipped):
    path = tmp_path / 'whole.pth'
    torch.save(
        dict(state_dict=dict(weight=torch.rand(1000))), path, _use_new_zipfile_serialization=zipped
    )
    launch.check_checkpoint(str(path))
    content = path.read_bytes()
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match='load_from must be a whole checkpoint, got .*cut.pth'):
        launch.check_checkpoint(str(cut))


@pytest.mark.parametrize('zipped', [True, False])
def test_a_whole_checkpoint_with_foreign_classes_is_not_called_cut_off(tmp_path, zipped):
    path = tmp_path / 'foreign.pth'
    torch.save(
        dict(state_dict=dict(weight=torch.rand(2)), args=argparse.Namespace(lr=1)),
        path,
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(
        ValueError,
        match=r'foreign.pth is whole, but holds objects of '
        r'argparse.Namespace .* python -c "(.*)"',
    ) as error:
        launch.check_checkpoint(str(path))
    with pytest.raises(pickle.UnpicklingError, match='holds objects of argparse.Namespace'):
        CheckpointLoader.load_checkpoint(str(path), 'cpu')
    # The advice works.
    command = re.search('python -c "(.*)"', str(error.value))[1]
    exec(command.replace('weights.pth', str(tmp_path / 'weights.pth')))
    launch.check_checkpoint(str(tmp_path / 'weights.pth'))
    assert launch.read_checkpoint(str(tmp_path / 'weights.pth'))['state_dict'].keys() == {'weight'}


def test_a_checkpoint_of_a_training_has_no_foreign_classes(trained):
    launch.check_checkpoint(str(trained / 'iter_2.pth'))


def test_the_work_dir_is_the_argument_then_the_config_then_the_name(tmp_path):
    plain, own = tmp_path / 'plain.py', tmp_path / 'own.py'
    plain.write_text('a = 1')
    own.write_text("work_dir = 'mine'")
    assert launch.load_config(str(own), 'given').work_dir == 'given'
    assert launch.load_config(str(own)).work_dir == 'mine'
    assert launch.load_config(str(plain)).work_dir == './work_dirs/plain'


def test_seed_keeps_what_the_config_says_beside_it(monkeypatch):
    monkeypatch.delenv('CUBLAS_WORKSPACE_CONFIG', raising=False)
    cfg = Config(dict(randomness=dict(seed=1, diff_rank_seed=True)))
    launch.set_seed(cfg, None, False)
    assert cfg.randomness == dict(seed=1, diff_rank_seed=True)
    launch.set_seed(cfg, 7, True)
    assert cfg.randomness == dict(seed=7, diff_rank_seed=True, deterministic=True)
    monkeypatch.delenv('CUBLAS_WORKSPACE_CONFIG')


@pytest.mark.parametrize('name', ['', 'iter_30.pth'])
def test_resume_takes_the_newest_whole_checkpoint_if_the_named_one_is_not_there(tmp_path, name):
    """A kill leaves an empty name, or a checkpoint that is cut off."""
    for i in (10, 20):
        torch.save({}, tmp_path / f'iter_{i}.pth')
        os.utime(tmp_path / f'iter_{i}.pth', (i, i))
    (tmp_path / 'iter_25.pth').write_bytes((tmp_path / 'iter_20.pth').read_bytes()[:50])
    (tmp_path / 'last_checkpoint').write_text(name)
    cfg = Config(dict(work_dir=str(tmp_path), load_from='source_only.pth'))
    launch.set_resume(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / 'iter_20.pth'))


def test_resume_with_an_empty_name_and_no_checkpoint_starts_anew(tmp_path):
    (tmp_path / 'last_checkpoint').write_text('')
    cfg = Config(dict(work_dir=str(tmp_path)))
    launch.set_resume(cfg, 'auto')
    assert cfg.resume is False


@pytest.fixture
def dictionary(tmp_path):
    """``dictionary(characters)``: the config of one, its file written."""

    def make(characters, **flags):
        path = tmp_path / f'{characters}.txt'
        path.write_text('\n'.join(characters))
        return dict(type='Dictionary', dict_file=str(path), with_padding=True, **flags)

    return make


def recognizer(dictionary, **kwargs):
    return Config(
        dict(
            model=dict(
                type='mmocr_da.AdaptiveRecognizer',
                objectives=[dict(type='mmocr_da.GlobalAlignment')],
                decoder=dict(type='CRNNDecoder', dictionary=dictionary),
                **kwargs,
            )
        )
    )


def checkpoint_of(text, tmp_path, **kwargs):
    path = tmp_path / 'source.pth'
    torch.save(dict(state_dict=dict(weight=torch.rand(3)), meta=dict(cfg=text)), path, **kwargs)
    return str(path)


@pytest.fixture
def warnings(monkeypatch):
    lines = []
    monkeypatch.setattr(launch, 'print_log', lambda line, **_: lines.append(line))
    return lines


@pytest.mark.parametrize('zipped', [True, False])
def test_equal_dictionaries_pass_whatever_their_files_are_called(
    dictionary, tmp_path, warnings, zipped
):
    cfg = recognizer(dictionary('abc'))
    other = dictionary('abc ')
    with open(other['dict_file'], 'w') as file:
        file.write('a\nb\nc\n')
    path = checkpoint_of(
        recognizer(other).pretty_text, tmp_path, _use_new_zipfile_serialization=zipped
    )
    launch.check_dictionary(cfg, path)
    assert warnings == []


@pytest.mark.parametrize(
    'theirs, flags, message',
    [
        ('acb', {}, "with 4 classes against 4: class 1 is 'c' there and 'b' here"),
        ('ab', {}, "with 3 classes against 4: class 2 is '<PAD>' there and 'c' here"),
        (
            'abc',
            dict(with_unknown=True),
            "with 5 classes against 4: class 4 is '<UKN>' there and nothing here",
        ),
        ('ABC', {}, "with 4 classes against 4: class 0 is 'A' there and 'a' here"),
    ],
)
@pytest.mark.parametrize('zipped', [True, False])
def test_another_dictionary_is_an_error_that_says_what_differs(
    dictionary, tmp_path, theirs, flags, message, zipped
):
    trained_with = dictionary(theirs, **flags)
    path = checkpoint_of(
        recognizer(trained_with).pretty_text, tmp_path, _use_new_zipfile_serialization=zipped
    )
    with pytest.raises(ValueError, match=message) as error:
        launch.check_dictionary(recognizer(dictionary('abc')), path)
    assert path in str(error.value) and trained_with['dict_file'] in str(error.value)


def test_a_plain_recognizer_with_another_alphabet_is_not_tested(dictionary, tmp_path):
    path = checkpoint_of(recognizer(dictionary('ab')).pretty_text, tmp_path)
    cfg = recognizer(dictionary('ba'))
    cfg.model.objectives = []
    with pytest.raises(ValueError, match="class 0 is 'a' there and 'b' here"):
        launch.check_dictionary(cfg, path)


def test_fine_tuning_a_plain_recognizer_to_another_alphabet_warns(dictionary, tmp_path, warnings):
    path = checkpoint_of(recognizer(dictionary('ab')).pretty_text, tmp_path)
    cfg = recognizer(dictionary('abc'))
    cfg.model.objectives = []
    launch.check_dictionary(cfg, path, fine_tuning=True)
    del cfg.model['objectives']
    launch.check_dictionary(cfg, path, fine_tuning=True)
    assert len(warnings) == 2 and "class 2 is '<PAD>' there and 'c' here" in warnings[0]


def test_an_adaptation_to_another_alphabet_needs_the_setting(dictionary, tmp_path, warnings):
    path = checkpoint_of(recognizer(dictionary('ab')).pretty_text, tmp_path)
    cfg = recognizer(dictionary('abc'))
    with pytest.raises(ValueError, match=r"or set new_parts=\['decoder'\] to learn"):
        launch.check_dictionary(cfg, path, fine_tuning=True)
    for new_parts in ('decoder', ['backbone', 'decoder.decoder']):
        cfg.new_parts = new_parts
        launch.check_dictionary(cfg, path, fine_tuning=True)
        with pytest.raises(ValueError, match='with 3 classes .* of this config$'):
            launch.check_dictionary(cfg, path)


@pytest.mark.parametrize('name', ['CRNN', 'mmocr_da.WithBIN'])
def test_the_dictionary_is_found_in_any_spelling_of_a_config(dictionary, tmp_path, name):
    cfg = recognizer(dictionary('abc'), of=name)
    theirs = recognizer({**dictionary('abd'), '_scope_': 'mmocr_da'}, of=name).pretty_text
    # A key that is no name makes MMEngine write `dict({...})`.
    odd = recognizer(dictionary('abd'), **{'no name': 1}).pretty_text
    assert 'dict({' in odd.replace('\n', '').replace(' ', '')
    literal = f'model = {recognizer(dictionary("abd")).model.to_dict()}'
    for text in (theirs, odd, literal):
        with pytest.raises(ValueError, match="class 2 is 'd' there and 'c' here"):
            launch.check_dictionary(cfg, checkpoint_of(text, tmp_path))


def test_where_no_dictionary_is_to_be_found_nothing_is_said(dictionary, tmp_path, warnings):
    cfg = recognizer(dictionary('abc'))
    for text in ('model = dict(type="DBNet")', 'a = 1', 'model = (', '', None, '\0'):
        launch.check_dictionary(cfg, checkpoint_of(text, tmp_path))
    for content in ({}, dict(meta=None), dict(meta=dict(iter=3)), [torch.rand(2)]):
        torch.save(content, tmp_path / 'bare.pth')
        launch.check_dictionary(cfg, str(tmp_path / 'bare.pth'))
    launch.check_dictionary(cfg, None)
    launch.check_dictionary(cfg, 'https://example.com/crnn.pth')
    path = checkpoint_of(recognizer(dictionary('ab')).pretty_text, tmp_path)
    for other in (
        {},
        dict(model=dict(type='DBNet', objectives=[1])),
        dict(model=dict(decoder=dict(type='ABIFuser'))),
        dict(model=dict(decoder=None)),
    ):
        launch.check_dictionary(Config(other), path)
    assert warnings == []


@pytest.mark.parametrize('file', ['/no/such.txt', 'http://localhost/x.txt'])
def test_a_dictionary_that_is_not_on_this_machine_is_named(dictionary, tmp_path, warnings, file):
    text = recognizer(dict(type='Dictionary', dict_file=file)).pretty_text
    launch.check_dictionary(recognizer(dictionary('abc')), checkpoint_of(text, tmp_path))
    assert len(warnings) == 1 and f'{file!r} is not there' in warnings[0]


def test_a_checkpoint_cannot_run_anything(dictionary, tmp_path):
    cfg = recognizer(dictionary('abc'))
    text = recognizer(dict(dictionary('abd'), type='os.system', command='true')).pretty_text
    lines = f'import os\nos.mkdir({str(tmp_path / "ran")!r})\n'
    with patch('os.system') as system:
        launch.check_dictionary(cfg, checkpoint_of(text, tmp_path))
        with pytest.raises(ValueError, match="class 2 is 'd'"):
            launch.check_dictionary(
                cfg, checkpoint_of(lines + recognizer(dictionary('abd')).pretty_text, tmp_path)
            )
    assert not system.called and not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('arguments', [['--cfg-options'], ['--resume', '{}', '--cfg-options']])
def test_training_stops_before_it_starts(toy, trained, run_tool, dictionary, tmp_path, arguments):
    """Ten digits in another order: the sizes agree, so that without the check it would train."""
    dict_file = dictionary('1234567890')['dict_file']
    checkpoint = trained / 'iter_2.pth'
    arguments = [argument.format(checkpoint) for argument in arguments]
    message = "13 classes against 13: class 0 is '0' there and '1' here"
    with pytest.raises(ValueError, match=message):
        run_tool(
            'train',
            toy,
            '--work-dir',
            tmp_path / 'run',
            *arguments,
            f'load_from={checkpoint}',
            f'model.decoder.dictionary.dict_file={dict_file}',
        )
    assert not (tmp_path / 'run').exists()
    with pytest.raises(ValueError, match=message):
        run_tool(
            'test',
            toy,
            checkpoint,
            '--work-dir',
            tmp_path / 'run',
            '--cfg-options',
            f'model.decoder.dictionary.dict_file={dict_file}',
        )


@pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a GPU')
def test_the_process_group_is_left_before_python_ends(monkeypatch):
    """Else threads of gloo may abort a process that has finished."""
    for name, value in dict(
        RANK='0', WORLD_SIZE='1', MASTER_ADDR='127.0.0.1', MASTER_PORT='0'
    ).items():
        monkeypatch.setenv(name, value)
    with patch('atexit.register') as register, patch.object(launch, 'keep_memory'):
        launch.prepare_cpu_launch(Config(dict(launcher='pytorch')))
    leave = register.call_args.args[0]
    assert torch.distributed.is_initialized()
    for _ in range(2):  # also where the program has left it itself
        leave()
        assert not torch.distributed.is_initialized()
