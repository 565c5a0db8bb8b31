"""LS-ED with the source "global": the surrogate learns from generated pairs alone."""

_base_ = './small_lsed_words.py'

model = dict(
    objectives=[
        dict(
            type='mmocr_da.LSEDLoss',
            surrogate={**_base_.small_surrogate, 'approximation': 'global'},
        )
    ]
)
