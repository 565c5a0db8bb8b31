"""Files of checkpoints, and the weights in them."""

import argparse
import pickle
import re

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from mmocr_da.engine import checkpoints


@pytest.mark.parametrize('share', [0.001, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize('zipped', [True, False])
def test_a_checkpoint_that_is_cut_anywhere_is_an_error(tmp_path, share, zipped):
    path = tmp_path / 'whole.pth'
    torch.save(
        dict(state_dict=dict(weight=torch.rand(1000))), path, _use_new_zipfile_serialization=zipped
    )
    checkpoints.check_checkpoint(str(path))
    content = path.read_bytes()
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match='load_from must be a whole checkpoint, got .*cut.pth'):
        checkpoints.check_checkpoint(str(cut))


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
        checkpoints.check_checkpoint(str(path))
    with pytest.raises(pickle.UnpicklingError, match='holds objects of argparse.Namespace'):
        CheckpointLoader.load_checkpoint(str(path), 'cpu')
    # The advice works.
    command = re.search('python -c "(.*)"', str(error.value))[1]
    exec(command.replace('weights.pth', str(tmp_path / 'weights.pth')))
    checkpoints.check_checkpoint(str(tmp_path / 'weights.pth'))
    assert checkpoints.read_checkpoint(str(tmp_path / 'weights.pth'))['state_dict'].keys() == {
        'weight'
    }


def test_a_checkpoint_of_a_training_has_no_foreign_classes(trained):
    checkpoints.check_checkpoint(str(trained / 'iter_2.pth'))


def test_raw_undoes_the_swap_of_the_moving_average():
    from mmengine.hooks import EMAHook

    state = {'weight': torch.tensor(1.0), 'buffer': torch.tensor(5.0)}
    checkpoint = dict(
        state_dict=dict(state),
        ema_state_dict={'module.weight': torch.tensor(2.0), 'steps': torch.tensor(9)},
    )
    EMAHook._swap_ema_state_dict(None, checkpoint)
    assert checkpoints.weights_of(checkpoint)['weight'] == 2
    assert checkpoints.weights_of(checkpoint, raw=True) == state
    with pytest.raises(ValueError, match='--raw needs a checkpoint of EMAHook'):
        checkpoints.weights_of(dict(state_dict=state), raw=True)
