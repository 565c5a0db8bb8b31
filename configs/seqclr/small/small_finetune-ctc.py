"""Fine-tuning of the pre-trained encoder on 5 % of the labels, with CTC."""

_base_ = '../../_base_/small_seqclr.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

load_from = _base_.pretrained_encoder
