"""The teacher stays the recognizer that the run starts from: pseudo-labels that do not change."""

_base_ = '../small/small_self-training.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

# The fixed teacher does not learn: the student is what is tested.
model = dict(objectives=[dict(_base_.self_training, decay=1, predict_with='student')])
