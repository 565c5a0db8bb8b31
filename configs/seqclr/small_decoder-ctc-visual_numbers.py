"""Decoder evaluation of a feature map without a sequence model, as SimCLR has it: CTC on V."""

_base_ = './small_decoder-ctc_numbers.py'

model = dict(encoder=dict(num_layers=0))
load_from = 'work_dirs/small_simclr_numbers/encoder_iter_1500.pth'
