"""SeqCLR at full size, five windows per image, on the words of IAM without their labels."""

_base_ = ['./_base_paper_pretrain.py', '../_base_/datasets/iam.py']

train_dataloader = dict(
    dataset=dict(
        datasets=dict(
            type='mmocr_da.UnlabelledDataset', dataset=_base_.iam_textrecog_train, pipeline=None
        )
    )
)
