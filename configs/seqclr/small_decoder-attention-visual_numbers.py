"""Decoder evaluation of a feature map without a sequence model, as for SimCLR: attention on V."""

_base_ = './small_decoder-attention_numbers.py'

model = dict(encoder=dict(num_layers=0))
load_from = 'work_dirs/small_simclr_numbers/encoder_iter_1500.pth'
