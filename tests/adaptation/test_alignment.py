"""Which features of a recognizer can be aligned."""

import pytest
import torch
from helpers.processes import run_ranks

from mmocr_da.adaptation.alignment import find_alignable
from mmocr_da.adaptation.launching import on_main
from mmocr_da.adaptation.pipelines import read_pipelines
from mmocr_da.adaptation.recognizers import read_recognizer


def find(config):
    recognizer = read_recognizer(str(config))
    return find_alignable(recognizer, read_pipelines(recognizer.cfg))


@pytest.mark.parametrize(
    'name, widths',
    [
        ('crnn_mini-vgg_5e_mj', (512, 512)),
        ('svtr-tiny_20e_st_mj', (192, 192)),
        ('aster_resnet45_6e_st_mj', (512, 512)),
        ('satrn_shallow-small_5e_st_mj', (256, 256)),
        ('crnn_bin_mini-vgg_5e_mj', (512, 512)),
        ('crnn_assda_mj_to_folder', (512, 512)),
    ],
)
def test_the_widths_are_those_of_the_features(name, widths):
    state = torch.get_rng_state()
    found = find(name)
    assert found[:2] == widths and found.remarks == []
    # Most of SATRN is its encoder.
    assert found.level == ('encoder' if name.startswith('satrn') else 'backbone')
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize('decoder, widths', [('attention', (16, 16)), ('ctc', (16, 16))])
def test_a_config_of_the_user_counts(tiny, decoder, widths):
    assert find(tiny(decoder) / 'tiny.py')[:2] == widths


def test_a_loss_that_knows_no_characters_leaves_the_map(tiny, tmp_path):
    (tmp_path / 'own.py').write_text(
        f"_base_ = '{tiny() / 'tiny.py'}'\n"
        'model = dict(decoder=dict(module_loss=dict(ignore_first_char=False)))\n'
    )
    found = find(tmp_path / 'own.py')
    assert found[:2] == (16, None)
    assert found.remarks[0].startswith('no alignment of characters: characters of')


def _find_on_main(rank, config):
    return on_main(lambda: tuple(find(config)))


def test_one_of_several_processes_finds_them_and_waits_for_no_other(tiny, tmp_path):
    # As in MMOCR's configs of SAR, MASTER and RobustScanner: the labels of all processes count.
    (tmp_path / 'mean.py').write_text(
        f"_base_ = '{tiny() / 'tiny.py'}'\n"
        "model = dict(decoder=dict(module_loss=dict(reduction='mean')))\n"
    )
    first, second = run_ranks(_find_on_main, tmp_path / 'mean.py')
    assert first == second and first[:2] == (16, 16)
