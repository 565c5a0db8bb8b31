"""What pre-training is compared with: from random weights, on 5 % of the labels, with CTC."""

_base_ = ['../_base_/models/bilstm_ctc_small.py', './_base_small_supervised_numbers.py']
