"""ResNet-14 with batch-instance norm after every convolution."""

_base_ = ['./char_resnet14_bn.py', '../_base_/gates.py']

model = dict(type='mmocr_da.WithBIN', of='EncoderDecoderRecognizer')
optim_wrapper = _base_.gates
