"""Self-training on the target alone: a checkpoint, and no source data."""

_base_ = ['../../_base_/small_adaptation.py', '../../_base_/datasets/seqclr_views.py']
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(
    supervised_weight=0,
    objectives=[
        dict(type='mmocr_da.SelfTraining', threshold=0.5, decay=0.99, ramp=100),
        dict(type='mmocr_da.L2SP'),
    ],
)
custom_hooks = [dict(type='mmocr_da.AdaBNHook', keep=False)]
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))  # there is no adversary
load_image, load_text, resize, pack = _base_.train_pipeline
views = dict(
    type='mmocr_da.WeakStrongViews',
    weak=[resize, pack],
    strong=[_base_.seqclr_augmentation, resize, pack],
)
train_dataloader = dict(
    batch_size=64,
    sampler=dict(batch_size=64, ratio=(0, 1)),
    dataset=dict(source=None, pipeline=None, target_pipeline=[load_image, load_text, views]),
)
auto_scale_lr = dict(base_batch_size=64)
