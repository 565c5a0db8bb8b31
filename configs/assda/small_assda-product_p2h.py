"""ASSDA with both lambdas on the 'product' schedule instead of the rising one."""

_base_ = './_base_small_adaptation.py'

model = dict(
    objectives=[
        {**_base_.global_alignment, 'schedule': 'product'},
        {**_base_.local_alignment, 'schedule': 'product'},
    ]
)
