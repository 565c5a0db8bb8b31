"""LS-ED: the trained recognizer, tuned on the learned edit distance (local-global)."""

_base_ = [
    '../../_base_/small_lsed/choice.py',
    '../../_base_/small_lsed/{{$MMOCR_DA_DATA:numbers}}.py',
]
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(
    type='mmocr_da.AdaptiveRecognizer',
    supervised_weight=0,  # the learned edit distance alone, as in the paper
    objectives=[_base_.lsed],
)
optim_wrapper = dict(paramwise_cfg=_base_.surrogate_learning_rate)
# Every second iteration after the warm-up trains the recognizer.
_begin, _end = _base_.surrogate_iters, _base_.surrogate_iters + 2 * _base_.max_iters
train_cfg = dict(max_iters=_end, val_interval=_end)
param_scheduler = [dict(_base_.param_scheduler[0], begin=_begin, end=_end)]
default_hooks = dict(checkpoint=dict(interval=_end))
custom_hooks = _base_.surrogate_hooks
# In several processes: an iteration trains either the surrogate or the model.
find_unused_parameters = True
