"""LS-ED with the source "local": the surrogate learns from what the recognizer reads alone."""

_base_ = './small_lsed_words.py'

model = dict(
    objectives=[
        dict(
            type='mmocr_da.LSEDLoss', surrogate={**_base_.small_surrogate, 'approximation': 'local'}
        )
    ]
)
