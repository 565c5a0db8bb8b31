"""What every post-tuning with LS-ED adds to a config: ``model = _base_.lsed``."""

_base_ = './_base_surrogate_hooks.py'

lsed = dict(
    type='mmocr_da.AdaptiveRecognizer',
    supervised_weight=0,  # learned edit distance alone, as in the paper
    objectives=[dict(type='mmocr_da.LSEDLoss')],
)
