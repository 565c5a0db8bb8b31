"""Labelled images of ``handwritten_numbers.py``: 5 % of them to train on."""

_base_ = ['./_base_small_supervised.py', '../_base_/datasets/handwritten_numbers.py']

resize = dict(type='Resize', scale=(64, 16))
train_dataloader = dict(
    dataset=dict(
        datasets=dict(dataset=_base_.numbers_train),
        pipeline=[
            _base_.load_image,
            _base_.load_text,
            resize,
            _base_.light_augmentation,
            _base_.pack,
        ],
    )
)
test_steps = [_base_.load_test_image, _base_.load_text, resize, _base_.pack]
val_dataloader = dict(dataset={**_base_.numbers_val, 'pipeline': test_steps})
test_dataloader = dict(dataset={**_base_.numbers_test, 'pipeline': test_steps})
