"""A checkpoint must be of the dictionary of the config."""

from unittest.mock import patch

import pytest
import torch
from mmengine.config import Config

from mmocr_da.engine import dictionary_check


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
    monkeypatch.setattr(dictionary_check, 'print_log', lambda line, **_: lines.append(line))
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
    dictionary_check.check_dictionary(cfg, path)
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
        dictionary_check.check_dictionary(recognizer(dictionary('abc')), path)
    assert path in str(error.value) and trained_with['dict_file'] in str(error.value)


def test_a_plain_recognizer_with_another_alphabet_is_not_tested(dictionary, tmp_path):
    path = checkpoint_of(recognizer(dictionary('ab')).pretty_text, tmp_path)
    cfg = recognizer(dictionary('ba'))
    cfg.model.objectives = []
    with pytest.raises(ValueError, match="class 0 is 'a' there and 'b' here"):
        dictionary_check.check_dictionary(cfg, path)


def test_fine_tuning_a_plain_recognizer_to_another_alphabet_warns(dictionary, tmp_path, warnings):
    path = checkpoint_of(recognizer(dictionary('ab')).pretty_text, tmp_path)
    cfg = recognizer(dictionary('abc'))
    cfg.model.objectives = []
    dictionary_check.check_dictionary(cfg, path, fine_tuning=True)
    del cfg.model['objectives']
    dictionary_check.check_dictionary(cfg, path, fine_tuning=True)
    assert len(warnings) == 2 and "class 2 is '<PAD>' there and 'c' here" in warnings[0]


def test_an_adaptation_to_another_alphabet_needs_the_setting(dictionary, tmp_path, warnings):
    path = checkpoint_of(recognizer(dictionary('ab')).pretty_text, tmp_path)
    cfg = recognizer(dictionary('abc'))
    with pytest.raises(ValueError, match=r"or set new_parts=\['decoder'\] to learn"):
        dictionary_check.check_dictionary(cfg, path, fine_tuning=True)
    for new_parts in ('decoder', ['backbone', 'decoder.decoder']):
        cfg.new_parts = new_parts
        dictionary_check.check_dictionary(cfg, path, fine_tuning=True)
        with pytest.raises(ValueError, match='with 3 classes .* of this config$'):
            dictionary_check.check_dictionary(cfg, path)


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
            dictionary_check.check_dictionary(cfg, checkpoint_of(text, tmp_path))


def test_where_no_dictionary_is_to_be_found_nothing_is_said(dictionary, tmp_path, warnings):
    cfg = recognizer(dictionary('abc'))
    for text in ('model = dict(type="DBNet")', 'a = 1', 'model = (', '', None, '\0'):
        dictionary_check.check_dictionary(cfg, checkpoint_of(text, tmp_path))
    for content in ({}, dict(meta=None), dict(meta=dict(iter=3)), [torch.rand(2)]):
        torch.save(content, tmp_path / 'bare.pth')
        dictionary_check.check_dictionary(cfg, str(tmp_path / 'bare.pth'))
    dictionary_check.check_dictionary(cfg, None)
    dictionary_check.check_dictionary(cfg, 'https://example.com/crnn.pth')
    path = checkpoint_of(recognizer(dictionary('ab')).pretty_text, tmp_path)
    for other in (
        {},
        dict(model=dict(type='DBNet', objectives=[1])),
        dict(model=dict(decoder=dict(type='ABIFuser'))),
        dict(model=dict(decoder=None)),
    ):
        dictionary_check.check_dictionary(Config(other), path)
    assert warnings == []


@pytest.mark.parametrize('file', ['/no/such.txt', 'http://localhost/x.txt'])
def test_a_dictionary_that_is_not_on_this_machine_is_named(dictionary, tmp_path, warnings, file):
    text = recognizer(dict(type='Dictionary', dict_file=file)).pretty_text
    dictionary_check.check_dictionary(recognizer(dictionary('abc')), checkpoint_of(text, tmp_path))
    assert len(warnings) == 1 and f'{file!r} is not there' in warnings[0]


def test_a_checkpoint_cannot_run_anything(dictionary, tmp_path):
    cfg = recognizer(dictionary('abc'))
    text = recognizer(dict(dictionary('abd'), type='os.system', command='true')).pretty_text
    lines = f'import os\nos.mkdir({str(tmp_path / "ran")!r})\n'
    with patch('os.system') as system:
        dictionary_check.check_dictionary(cfg, checkpoint_of(text, tmp_path))
        with pytest.raises(ValueError, match="class 2 is 'd'"):
            dictionary_check.check_dictionary(
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
