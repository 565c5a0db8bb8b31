"""Gates that learn as fast as everything else, instead of ten times as fast."""

_base_ = './char_resnet8_bin.py'

optim_wrapper = dict(paramwise_cfg=dict(gate_lr_mult=1.0))
