"""Fine-tuning of the pre-trained encoder on 5 % of the labels (SynthText: all), with attention."""

_base_ = '../_base_/resnet29_seqclr.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:iam}}'

load_from = _base_.pretrained_encoder
