"""A config that does not exist is named with the one that it may be now."""

import pytest
from mmengine.config import Config

from mmocr_da.config_names import (
    CONFIGS,
    check_config_folder,
    config_folders,
    find_config,
    near_configs,
)
from mmocr_da.engine.launch import load_config


@pytest.mark.parametrize(
    'old, new',
    [
        ('assda/small_assda_p2h', 'assda/small/small_assda'),
        ('assda/small_ga-mean_p2h', 'assda/ablations/small_ga-mean'),
        ('bin/char_resnet8_bin-lr1', 'bin/ablations/resnet8_bin-lr1_characters'),
        ('learned_surrogate/small_lsed_words', 'learned_surrogate/small/small_lsed'),
        (
            'learned_surrogate/rrpn-lsiou_resnet50_fpn_icdar',
            'learned_surrogate/rrpn_lsiou_resnet50_fpn_icdar',
        ),
        ('seqclr/resnet29_window_iam', 'seqclr/resnet29_seqclr-window'),
        ('seqclr/resnet29_decoder-ctc_synthtext', 'seqclr/resnet29_decoder-ctc'),
        ('symnet/words_symnet-no-entropy', 'symnet/ablations/small_symnet-no-entropy'),
    ],
)
def test_an_old_name_is_most_like_the_new_one(old, new):
    message = near_configs(CONFIGS / f'{old}.py')
    assert message.startswith(f'; the names most like it are mmocr_da::{new}.py, ')
    assert (CONFIGS / f'{new}.py').is_file() and not (CONFIGS / f'{old}.py').exists()


@pytest.mark.parametrize(
    'base', ['mmocr_da::bin/char_resnet8_bin.py', '{folder}/bin/char_resnet8_bin.py']
)
def test_a_base_that_does_not_exist_is_an_error_with_the_nearest_names(base, tmp_path):
    (tmp_path / 'mine.py').write_text(f"_base_ = '{base.format(folder=CONFIGS.resolve())}'\n")
    with pytest.raises(FileNotFoundError, match='most like it .*bin/small/resnet8_bin_characters'):
        Config.fromfile(str(tmp_path / 'mine.py'))


def test_the_tools_name_it(tmp_path):
    with pytest.raises(ValueError, match='most like it are mmocr_da::symnet/small/small_symnet.py'):
        load_config(str(CONFIGS / 'symnet/small_symnet_p2h.py'))


def test_missing_files_of_others_are_as_in_mmengine(tmp_path):
    assert near_configs(tmp_path / 'small_assda_p2h.py') == ''
    (tmp_path / 'mine.py').write_text("_base_ = './other.py'\n")
    with pytest.raises(FileNotFoundError, match=r"other.py'$"):
        Config.fromfile(str(tmp_path / 'mine.py'))


@pytest.mark.parametrize(
    'name, base',
    [
        ('crnn_mini-vgg_5e_mj', 'mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py'),
        ('crnn_mini-vgg_5e_mj.py', 'mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py'),
        ('crnn/crnn_mini-vgg_5e_mj', 'mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py'),
        (
            'mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py',
            'mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py',
        ),
        ('small_assda', 'mmocr_da::assda/small/small_assda.py'),
    ],
)
def test_a_config_is_found_by_a_part_of_its_name(name, base):
    path, found = find_config(name)
    package, _, rest = base.partition('::')
    assert found == base and path == str(config_folders()[package] / rest)


def test_a_file_of_the_user_is_its_own_base_and_one_of_a_package_keeps_its_name(
    tmp_path, monkeypatch
):
    (tmp_path / 'crnn_mini-vgg_5e_mj.py').write_text('model = dict()\n')
    monkeypatch.chdir(tmp_path)
    assert find_config('crnn_mini-vgg_5e_mj.py') == (
        'crnn_mini-vgg_5e_mj.py',
        str(tmp_path / 'crnn_mini-vgg_5e_mj.py'),
    )
    file = CONFIGS / 'assda/small/small_assda.py'
    assert find_config(str(file)) == (str(file), 'mmocr_da::assda/small/small_assda.py')


@pytest.mark.parametrize(
    'name, near',
    [
        ('crnn_minivgg_5e_mj', 'mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py'),
        ('mmocr::textrecog/crnn/crnn_mini-vgg_5e.py', 'mmocr::textrecog/crnn/crnn_mini-vgg'),
        ('small_asda', 'mmocr_da::assda/small/small_assda.py'),
        ('_base_crnn_mini-vgg', 'mmocr::textrecog/crnn/crnn_mini-vgg'),
    ],
)
def test_a_name_of_nothing_is_an_error_with_near_ones(name, near):
    with pytest.raises(ValueError, match=f'which is neither; the names most like it are {near}'):
        find_config(name)


def test_a_name_of_several_configs_is_an_error_that_lists_them(monkeypatch, tmp_path):
    for folder in ('a', 'b'):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'same.py').touch()
    monkeypatch.setattr('mmocr_da.config_names.config_folders', lambda: dict(p=tmp_path))
    with pytest.raises(ValueError, match='several configs, give one: p::a/same.py, p::b/same.py'):
        find_config('same')
    assert find_config('b/same')[1] == 'p::b/same.py'


@pytest.mark.parametrize('name', ["O'Brien", 'a"b', 'a\\b', 'a\nb'])
def test_a_folder_whose_name_breaks_the_text_of_a_config_is_refused(tmp_path, name, monkeypatch):
    check_config_folder(tmp_path / 'a b ä', '--work-dir')
    with pytest.raises(ValueError, match='--work-dir must be a folder without quotes'):
        check_config_folder(tmp_path / name / 'inner', '--work-dir')
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    with pytest.raises(ValueError, match='without quotes'):
        check_config_folder('out', '--work-dir')
