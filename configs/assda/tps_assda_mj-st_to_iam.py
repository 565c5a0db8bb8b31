"""ASSDA at full size: synthetic scene words to handwritten words, whose labels are dropped.

The target is what ``tools/dataset_converters/prepare_dataset.py iam --out data/iam`` writes.
"""

_base_ = '../_base_/tps_mj-st.py'

load_from = 'work_dirs/tps_source-only_mj-st/iter_300000.pth'
model = dict(
    objectives=[
        dict(type='mmocr_da.GlobalAlignment', in_channels=64, pooling='position', weight=0.1),
        dict(type='mmocr_da.LocalAlignment', in_channels=256, weight=0.3, threshold=0.4),
    ]
)
# The released code's learning rates: 0.1 for the recognizer and 1 for the discriminators.
optim_wrapper = dict(
    optimizer=dict(lr=0.1), paramwise_cfg=dict(custom_keys={'objectives': dict(lr_mult=10.0)})
)
train_dataloader = dict(
    batch_size=256,  # 128 source + 128 target, of one GPU
    sampler=dict(_delete_=True, type='mmocr_da.TwoDomainSampler', batch_size=256, ratio=(1, 1)),
    dataset=dict(
        _delete_=True,
        type='mmocr_da.TwoDomainDataset',
        source=_base_.source_train,
        target=dict(
            type='mmocr_da.UnlabelledDataset',
            dataset=dict(_base_.iam, ann_file='textrecog_train.json'),
            pipeline=None,
        ),
        pipeline=_base_.train_pipeline,
    ),
)
auto_scale_lr = dict(base_batch_size=256)
