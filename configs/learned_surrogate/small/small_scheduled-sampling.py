"""The trained recognizer, tuned by cross-entropy and fed more and more of its own characters."""

_base_ = [
    '../../_base_/small_lsed/choice.py',
    '../../_base_/small_lsed/{{$MMOCR_DA_DATA:numbers}}.py',
]
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(
    supervised_weight=0,  # this loss instead
    # Labels until the half of the training, while the learning rate is high.
    objectives=[dict(type='mmocr_da.ScheduledSampling', c=2 / _base_.max_iters)],
)
