"""SymNet without E_task^t (eq. 6): C^t has no labels, so C^s predicts."""

_base_ = '../small/small_symnet.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(objectives=[dict(_base_.symnet, task_target=False, predict_with='source')])
