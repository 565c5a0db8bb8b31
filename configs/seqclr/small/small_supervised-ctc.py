"""What pre-training is compared with: from random weights, on 5 % of the labels, with CTC."""

_base_ = '../../_base_/small_seqclr.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'
