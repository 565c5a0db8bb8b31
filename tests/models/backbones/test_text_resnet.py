import pathlib

import pytest
import torch
from mmengine.config import Config

from mmocr_da.registry import MODELS

CONFIGS = pathlib.Path(__file__).parents[3] / 'configs' / '_base_'


def backbone(name):
    return MODELS.build(Config.fromfile(CONFIGS / f'{name}.py').model.backbone)


@pytest.mark.parametrize(
    'name, shape',
    [
        # H / 16 x W / 4 with 64 channels (Table I)
        ('models/tps_resnet_bilstm_attention', (2, 64, 2, 25)),
        # as in the released code, of which SeqCLR's recognizer is a copy
        ('resnet29_seqclr', (2, 512, 1, 26)),
    ],
)
def test_map_of_a_32_x_100_image(name, shape):
    assert backbone(name).eval()(torch.randn(2, 1, 32, 100)).shape == shape


def test_parameters_of_table_1():
    """Convolutions have 9 * in * out weights, batch norms 2 per channel; counted by hand."""

    def conv(a, b, k=9):
        return k * a * b + 2 * b

    def stage(a, b, blocks):
        first = conv(a, b) + conv(b, b) + (conv(a, b, 1) if a != b else 0)
        return first + (blocks - 1) * 2 * conv(b, b)

    wanted = (
        conv(1, 32)
        + conv(32, 64)
        + stage(64, 128, 2)
        + conv(128, 128)
        + stage(128, 256, 2)
        + conv(256, 256)
        + stage(256, 512, 5)
        + conv(512, 512)
        + stage(512, 512, 3)
        + conv(512, 512)
        + conv(512, 64)
    )
    got = sum(p.numel() for p in backbone('models/tps_resnet_bilstm_attention').parameters())
    assert got == wanted


def test_without_a_tail_it_is_mmocrs():
    cfg = dict(
        in_channels=1,
        stem_channels=[4],
        arch_layers=[1],
        arch_channels=[8],
        strides=[2],
        block_cfgs=dict(type='BasicBlock', use_conv1x1=False),
    )
    ours = MODELS.build(dict(type='mmocr_da.TextResNet', **cfg)).eval()
    theirs = MODELS.build(dict(type='ResNet', **cfg)).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(1, 1, 8, 8)
    assert torch.equal(ours(x), theirs(x))


def test_a_tail_behind_several_stages_is_refused():
    with pytest.raises(ValueError, match='out_indices'):
        MODELS.build(
            dict(
                type='mmocr_da.TextResNet',
                in_channels=1,
                stem_channels=[4],
                arch_layers=[1],
                arch_channels=[8],
                strides=[2],
                out_indices=[0],
                block_cfgs=dict(type='BasicBlock', use_conv1x1=False),
                tail=[dict(out_channels=4, kernel_size=3)],
            )
        )
