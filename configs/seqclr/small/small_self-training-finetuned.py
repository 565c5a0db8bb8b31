"""The end of a chain: pre-trained, fine-tuned, then self-training with global alignment.

The 5 % of the images that have a label are the source, and all images without labels the target.
"""

_base_ = '../../_base_/small_seqclr.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

load_from = f'work_dirs/small_finetune-ctc_{_base_.data}/iter_{_base_.max_iters}.pth'
model = dict(
    objectives=[
        dict(type='mmocr_da.SelfTraining', threshold=0.8, ramp=100),
        dict(type='mmocr_da.GlobalAlignment', in_channels=128, pooling='position', weight=0.3),
    ]
)
train_dataloader = dict(
    sampler=dict(type='mmocr_da.TwoDomainSampler'),
    dataset=dict(
        _delete_=True,
        type='mmocr_da.TwoDomainDataset',
        source=_base_.train_dataloader.dataset.datasets,
        target=_base_.pretraining_dataloader.dataset.datasets,
        pipeline=_base_.train_dataloader.dataset.pipeline,
    ),
)
custom_hooks = []  # which images have a label, the fine-tuning has written down
