"""Self-training with the two alignments of ASSDA beside it: the recipe of ``tools/adapt.py``."""

_base_ = '../../_base_/small_augmented.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(objectives=[_base_.self_training, _base_.global_alignment, _base_.local_alignment])
train_dataloader = dict(dataset=dict(target_pipeline=_base_.views_pipeline))
