"""ASSDA with both lambdas on the 'constant' schedule instead of the rising one."""

_base_ = './_base_small_adaptation.py'

model = dict(
    objectives=[
        {**_base_.global_alignment, 'schedule': 'constant'},
        {**_base_.local_alignment, 'schedule': 'constant'},
    ]
)
