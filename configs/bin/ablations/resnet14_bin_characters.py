"""ResNet-14 with batch-instance norm after every convolution."""

_base_ = ['../../_base_/characters.py', '../../_base_/gates.py']

model = dict(
    type='mmocr_da.WithBIN', of='EncoderDecoderRecognizer', backbone=dict(arch_layers=[2, 2, 2])
)
optim_wrapper = _base_.gates
