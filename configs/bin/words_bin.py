"""Words of a folder of your own with batch-instance norm after every convolution."""

_base_ = ['./words_bn.py', '../_base_/gates.py']

model = dict(type='mmocr_da.WithBIN', of='EncoderDecoderRecognizer')
optim_wrapper = _base_.gates
