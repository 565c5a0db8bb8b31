"""Gates that learn as fast as everything else, instead of ten times as fast."""

_base_ = ['../../_base_/characters.py', '../../_base_/gates.py']

model = dict(type='mmocr_da.WithBIN', of='EncoderDecoderRecognizer')
optim_wrapper = dict(_base_.gates, paramwise_cfg=dict(gate_lr_mult=1.0))
