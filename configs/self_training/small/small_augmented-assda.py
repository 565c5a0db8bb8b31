"""The two alignments of ASSDA on augmented source images, without self-training."""

_base_ = '../../_base_/small_augmented.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(objectives=[_base_.global_alignment, _base_.local_alignment])
