"""SimCLR on the sequence of the encoder: its augmentations, one instance per image."""

_base_ = './small_all_words.py'

train_dataloader = dict(
    dataset=dict(pipeline=[_base_.load_image, _base_.resize, _base_.simclr_views])
)
