"""Fine-tuning of the pre-trained encoder on 5 % of the labels, with CTC."""

_base_ = './small_supervised-ctc_words.py'

load_from = 'work_dirs/small_window_words/encoder_iter_1500.pth'
