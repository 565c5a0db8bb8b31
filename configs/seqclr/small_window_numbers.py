"""SeqCLR with five windows per image, on handwritten numbers without labels."""

_base_ = ['./_base_small_pretrain.py', '../_base_/datasets/handwritten_numbers.py']

train_dataloader = dict(
    dataset=dict(
        datasets=_base_.numbers_unlabelled,
        pipeline=[_base_.load_image, dict(type='Resize', scale=(64, 16)), _base_.seqclr_views],
    )
)
