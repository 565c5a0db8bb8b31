"""Words of a fixed confidence are labels, and not a rising share of the images."""

_base_ = '../../_base_/small_augmented.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(
    objectives=[
        dict(
            type='mmocr_da.SelfTraining',
            threshold=0.5,
            average='all',
            decay=0.99,
            ramp=_base_.max_iters // 10,
        )
    ]
)
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))  # there is no adversary
train_dataloader = dict(dataset=dict(target_pipeline=_base_.views_pipeline))
