"""What makes two views of a word image: SeqCLR's augmentation, and SimCLR's as a baseline.

Parts of the ``transforms`` of a ``mmocr_da.MultiView``, behind the resizing to 32 x 100 pixels.
"""

# SeqCLR (Aberdam et al., CVPR 2021), Appendix B; sigma as in its pseudo-code, its text says 1.0.
seqclr_augmentation = dict(
    type='mmocr_da.SomeOf',
    num=(1, 5),
    transforms=[
        dict(type='mmocr_da.LinearContrast', alpha=(0.5, 1.0)),
        dict(type='mmocr_da.GaussianBlur', sigma=(0.5, 1.5)),
        dict(type='mmocr_da.CropAndResize', top=(0, 0.4), bottom=(0, 0.4)),
        dict(type='mmocr_da.CropAndResize', left=(0, 0.02), right=(0, 0.02)),
        dict(type='mmocr_da.Sharpen', alpha=(0.0, 0.5), lightness=(0.0, 0.5)),
        dict(type='mmocr_da.PiecewiseAffine', scale=(0.02, 0.03)),
        dict(type='mmocr_da.PerspectiveJitter', scale=(0.01, 0.02)),
    ],
)

# SimCLR (Chen et al., ICML 2020), Appendix A. It flips and crops: it needs keep_order=False, and is
# for whole images as instances. Its blur has a tenth of the height as kernel, the next odd number.
simclr_augmentations = [
    dict(
        type='TorchVisionWrapper',
        op='RandomResizedCrop',
        size=(32, 100),
        scale=(0.08, 1.0),
        ratio=(3 / 4, 4 / 3),
    ),
    dict(type='TorchVisionWrapper', op='RandomHorizontalFlip', p=0.5),
    dict(
        type='mmcv.RandomApply',
        prob=0.8,
        transforms=[
            dict(
                type='TorchVisionWrapper',
                op='ColorJitter',
                brightness=0.8,
                contrast=0.8,
                saturation=0.8,
                hue=0.2,
            )
        ],
    ),
    dict(type='TorchVisionWrapper', op='RandomGrayscale', p=0.2),
    dict(
        type='mmcv.RandomApply',
        prob=0.5,
        transforms=[
            dict(type='TorchVisionWrapper', op='GaussianBlur', kernel_size=3, sigma=(0.1, 2.0))
        ],
    ),
]

# For decoder evaluation and fine-tuning: "light cropping, linear contrast and Gaussian blur"
# (Appendix D, which names no strengths).
light_augmentation = dict(
    type='mmocr_da.SomeOf',
    num=(0, 3),
    transforms=[
        dict(
            type='mmocr_da.CropAndResize',
            top=(0, 0.1),
            bottom=(0, 0.1),
            left=(0, 0.02),
            right=(0, 0.02),
        ),
        dict(type='mmocr_da.LinearContrast', alpha=(0.5, 1.0)),
        dict(type='mmocr_da.GaussianBlur', sigma=(0.5, 1.0)),
    ],
)
