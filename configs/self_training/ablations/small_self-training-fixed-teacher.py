"""The teacher stays the recognizer that the run starts from: pseudo-labels that do not change."""

_base_ = '../../_base_/small_augmented.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

# The fixed teacher does not learn: the student is what is tested.
model = dict(objectives=[dict(_base_.self_training, decay=1, predict_with='student')])
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))  # there is no adversary
train_dataloader = dict(dataset=dict(target_pipeline=_base_.views_pipeline))
