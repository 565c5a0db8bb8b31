"""What pre-training is compared with: from random weights, on 5 % of the labels, with attention."""

_base_ = ['../_base_/models/bilstm_attention_small.py', './_base_small_supervised_words.py']
