"""Fine-tuning of the pre-trained encoder on 5 % of the labels, with attention."""

_base_ = './small_supervised-attention_numbers.py'

load_from = 'work_dirs/small_window_numbers/encoder_iter_1500.pth'
