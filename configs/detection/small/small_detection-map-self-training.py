"""Self-training by pixels: those that a teacher is sure of are the labels of the target."""

_base_ = '../../_base_/small_detection.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:drawn}}'

model = dict(
    objectives=[
        dict(
            type='mmocr_da.DetectorMapSelfTraining', weight=20.0, threshold=0.8, decay=0.99, ramp=25
        )
    ]
)
train_dataloader = dict(dataset=dict(target_pipeline=_base_.views_pipeline))
custom_hooks = [_base_.frozen_norms]
