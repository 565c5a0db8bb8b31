"""Fine-tuning of the pre-trained encoder on 5 % of the labels, with attention."""

_base_ = './small_supervised-attention_words.py'

load_from = 'work_dirs/small_window_words/encoder_iter_1500.pth'
