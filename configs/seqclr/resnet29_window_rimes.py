"""SeqCLR at full size, five windows per image, on the words of RIMES without their labels."""

_base_ = ['./_base_paper_pretrain.py', '../_base_/datasets/rimes.py']

train_dataloader = dict(
    dataset=dict(
        datasets=dict(
            type='mmocr_da.UnlabelledDataset', dataset=_base_.rimes_textrecog_train, pipeline=None
        )
    )
)
