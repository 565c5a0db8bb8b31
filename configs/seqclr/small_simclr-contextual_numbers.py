"""SimCLR on the sequence of the encoder: its augmentations, one instance per image."""

_base_ = './small_all_numbers.py'

scale = (64, 16)
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            _base_.load_image,
            dict(type='Resize', scale=scale),
            dict(
                type='mmocr_da.MultiView',
                keep_order=False,
                transforms=[
                    *_base_.simclr_augmentations,
                    dict(type='Resize', scale=scale),
                    _base_.pack,
                ],
            ),
        ]
    )
)
