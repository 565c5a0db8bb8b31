"""The recipe, with a share of learned words that rises from nothing instead of a fifth."""

_base_ = '../../_base_/small_augmented.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

rising = dict(_base_.self_training['keep'], start=0.0)
model = dict(
    objectives=[
        dict(_base_.self_training, keep=rising),
        _base_.global_alignment,
        _base_.local_alignment,
    ]
)
train_dataloader = dict(dataset=dict(target_pipeline=_base_.views_pipeline))
