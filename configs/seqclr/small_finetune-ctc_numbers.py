"""Fine-tuning of the pre-trained encoder on 5 % of the labels, with CTC."""

_base_ = './small_supervised-ctc_numbers.py'

load_from = 'work_dirs/small_window_numbers/encoder_iter_1500.pth'
