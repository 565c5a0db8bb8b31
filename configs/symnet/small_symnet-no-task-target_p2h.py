"""SymNet without E_task^t (eq. 6): C^t has no labels, so C^s predicts."""

_base_ = './small_symnet_p2h.py'

model = dict(objectives=[dict(_base_.symnet, task_target=False, predict_with='source')])
