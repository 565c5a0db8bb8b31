"""Every recognizer of MMOCR: its own config, with everything as narrow and as shallow as can be."""

import copy
import functools

from helpers.matrix import CTC
from mmengine.config import Config
from mmengine.structures import LabelData

from mmocr_da.engine.inference import random_batch

#: Channels of all feature maps.
WIDTH = 16
RESNET31 = dict(layers=[1] * 4, channels=[8, 8, WIDTH, WIDTH, WIDTH, WIDTH, WIDTH])
SAR = dict(d_model=WIDTH, d_enc=WIDTH, d_k=8)
SAR_ENCODER = dict(d_model=WIDTH, d_enc=WIDTH)
TRANSFORMER = dict(n_layers=1, n_head=2, d_k=8, d_v=8, d_model=WIDTH, d_inner=20)
NRTR_DECODER = dict(TRANSFORMER, d_embedding=WIDTH, n_position=60)
ABINET = dict(
    backbone=dict(stem_channels=8, base_channels=4, arch_settings=[1] * 3, strides=[2, 1, 2]),
    encoder=dict(n_layers=1, n_head=2, d_model=WIDTH, d_inner=20),
    decoder=dict(vision_decoder=dict(in_channels=WIDTH, num_channels=8)),
)
SEQUENCE, POSITION = (
    dict(type=f'{kind}AttentionDecoder', dim_input=WIDTH, dim_model=12)
    for kind in ('Sequence', 'Position')
)
#: The config in ``mmocr::textrecog/`` of each family, and what is changed in its model.
FAMILIES = {
    'CRNN': (
        'crnn/crnn_mini-vgg_5e_mj',
        dict(
            backbone=dict(
                _delete_=True,  # MMOCR's has no options, and 6 million weights
                type='ResNet',
                in_channels=1,
                stem_channels=[8],
                block_cfgs=dict(type='BasicBlock', use_conv1x1=False),
                arch_layers=[1] * 5,
                arch_channels=[8, 8, 8, 8, WIDTH],
                strides=[(2, 2), (2, 2), (2, 1), (2, 1), (2, 1)],
            ),
            decoder=dict(in_channels=WIDTH),
        ),
    ),
    'SVTR': (
        'svtr/svtr-tiny_20e_st_mj',
        dict(
            encoder=dict(
                out_channels=WIDTH,
                embed_dims=[8] * 3,
                depth=[1] * 3,
                num_heads=[2] * 3,
                mixer_types=['Local', 'Local', 'Global'],
                window_size=[[3, 3]] * 3,
            ),
            decoder=dict(in_channels=WIDTH),
        ),
    ),
    'ASTER': (
        'aster/aster_resnet45_6e_st_mj',
        dict(
            backbone=dict(
                stem_channels=[8], arch_layers=[1] * 5, arch_channels=[8, 8, 8, 8, WIDTH]
            ),
            encoder=dict(in_channels=WIDTH),
            decoder=dict(in_channels=WIDTH, emb_dims=12, attn_dims=12, hidden_size=12),
        ),
    ),
    'SAR, parallel': (
        'sar/sar_resnet31_parallel-decoder_5e_st-sub_mj-sub_sa_real',
        dict(backbone=RESNET31, encoder=SAR_ENCODER, decoder=SAR),
    ),
    'SAR, sequential': (
        'sar/sar_resnet31_sequential-decoder_5e_st-sub_mj-sub_sa_real',
        dict(backbone=RESNET31, encoder=SAR_ENCODER, decoder=SAR),
    ),
    'RobustScanner': (
        'robust_scanner/robustscanner_resnet31_5e_st-sub_mj-sub_sa_real',
        dict(
            backbone=RESNET31,
            encoder=dict(in_channels=WIDTH, out_channels=12),
            decoder=dict(
                hybrid_decoder=SEQUENCE, position_decoder=POSITION, in_channels=[WIDTH] * 2
            ),
        ),
    ),
    'NRTR': (
        'nrtr/nrtr_resnet31-1by16-1by8_6e_st_mj',
        dict(
            backbone=dict(layers=[1] * 4, channels=[8, 8, WIDTH, WIDTH, WIDTH, WIDTH]),
            encoder=TRANSFORMER,
            decoder=NRTR_DECODER,
        ),
    ),
    'SATRN': (
        'satrn/satrn_shallow-small_5e_st_mj',
        dict(backbone=dict(hidden_dim=WIDTH), encoder=TRANSFORMER, decoder=NRTR_DECODER),
    ),
    'MASTER': (
        'master/master_resnet31_12e_st_mj_sa',
        dict(
            backbone=dict(stem_channels=[8, WIDTH], arch_layers=[1] * 4, arch_channels=[WIDTH] * 4),
            decoder=dict(n_layers=1, n_head=2, d_model=WIDTH, d_inner=20),
        ),
    ),
    'ABINet, vision': ('abinet/abinet-vision_20e_st-an_mj', ABINET),
    'ABINet, fusion': (
        'abinet/abinet_20e_st-an_mj',
        dict(
            ABINET,
            decoder=dict(
                ABINET['decoder'],
                d_model=WIDTH,
                language_decoder=dict(n_layers=1, n_head=2, d_model=WIDTH, d_inner=20),
            ),
        ),
    ),
}
#: Steps of a decoder; the texts of the batches are shorter.
STEPS = 6


@functools.cache
def _config(family):
    path, changes = FAMILIES[family]
    cfg = Config.fromstring(f"_base_ = 'mmocr::textrecog/{path}.py'", '.py')
    cfg.merge_from_dict(dict(model=copy.deepcopy(changes)))
    if family not in CTC:
        cfg.model.decoder.max_seq_len = STEPS
    return cfg


def narrow(family):
    """The config of MMOCR with a narrow model."""
    return copy.deepcopy(_config(family))


@functools.cache
def _noise(family, seed, count):
    return random_batch(_config(family), seed, count)


def noise(family, texts=('12', 'ab1'), targets=2, seed=0):
    """A batch as a dataloader gives it: noise, prepared by the test pipeline of the family."""
    batch = copy.deepcopy(_noise(family, seed, len(texts) + targets))
    for i, sample in enumerate(batch['data_samples']):
        domain = 'source' if i < len(texts) else 'target'
        sample.set_metainfo(dict(domain=domain, img_path=f'{domain}_{i}.png'))
        if domain == 'source':
            sample.gt_text = LabelData(item=texts[i])
    return batch


def two_views(batch):
    """The images and darker copies of them, as ``MultiView`` makes them for ``SeqCLR``."""
    return dict(
        inputs=[batch['inputs'], [x // 2 for x in batch['inputs']]],
        data_samples=[batch['data_samples'], copy.deepcopy(batch['data_samples'])],
    )
