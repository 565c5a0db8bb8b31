"""A config that does not exist is named with the one that it may be now."""

import pytest
from mmengine.config import Config

from mmocr_da.config_names import CONFIGS, near_configs
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
