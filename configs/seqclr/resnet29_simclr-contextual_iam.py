"""SimCLR at full size on the sequence of the encoder, on IAM."""

_base_ = './resnet29_all_iam.py'

train_dataloader = dict(
    dataset=dict(pipeline=[_base_.load_image, _base_.resize, _base_.simclr_views])
)
