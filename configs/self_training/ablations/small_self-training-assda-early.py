"""The recipe, with a fifth of the target's words from the first iteration on."""

_base_ = '../small/small_self-training-assda.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(objectives=[_base_.self_training, _base_.global_alignment, _base_.local_alignment])
