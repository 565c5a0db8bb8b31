"""ASSDA as its released code computes it: logit gate, no mask, its discriminator and weights."""

_base_ = './_base_small_adaptation.py'

model = dict(
    objectives=[
        dict(type='mmocr_da.GlobalAlignment', in_channels=128 * 16, published=True),  # 1 x 16 map
        dict(type='mmocr_da.LocalAlignment', in_channels=128, threshold=0.1, published=True),
    ]
)
