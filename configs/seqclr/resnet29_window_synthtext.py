"""SeqCLR at full size, five windows per image, on the words of SynthText without their labels."""

_base_ = ['./_base_paper_pretrain.py', 'mmocr::textrecog/_base_/datasets/synthtext.py']

max_iters = 400000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 6 // 10, max_iters * 8 // 10],
    )
]
train_dataloader = dict(
    dataset=dict(
        datasets=dict(
            type='mmocr_da.UnlabelledDataset',
            dataset=_base_.synthtext_textrecog_train,
            pipeline=None,
        )
    )
)
