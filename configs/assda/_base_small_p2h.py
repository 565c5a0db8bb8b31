"""Printed to handwritten numbers, small recognizer: 64 source and 64 target images a step."""

_base_ = [
    '../_base_/datasets/printed_to_handwritten.py',
    '../_base_/models/attention_small.py',
    '../_base_/schedules/adam_small.py',
    '../_base_/default_runtime.py',
]

# The runs are short: a killed one loses a minute at most.
default_hooks = dict(checkpoint=dict(interval=100))
auto_scale_lr = dict(base_batch_size=128)

train_dataloader = dict(
    batch_size=128,  # 64 source + 64 target
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.TwoDomainSampler', batch_size=128, ratio=(1, 1)),
    dataset=dict(
        type='mmocr_da.TwoDomainDataset',
        source=_base_.p2h_source_train,
        target=_base_.p2h_target_train,
        pipeline=_base_.train_pipeline,
    ),
)

# Source first, then target: the order of the evaluator's dataset_prefixes. To watch only.
val_dataloader = dict(
    batch_size=250,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ConcatDataset',
        datasets=[_base_.p2h_source_test, _base_.p2h_target_val],
        pipeline=_base_.test_pipeline,
    ),
)
test_dataloader = {
    **val_dataloader,
    'dataset': {
        **val_dataloader['dataset'],
        'datasets': [_base_.p2h_source_test, _base_.p2h_target_test],
    },
}
