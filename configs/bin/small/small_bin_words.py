"""Words of a folder with batch-instance norm after every convolution."""

_base_ = ['../../_base_/small_words.py', '../../_base_/gates.py']

model = dict(type='mmocr_da.WithBIN', of='EncoderDecoderRecognizer')
optim_wrapper = _base_.gates
