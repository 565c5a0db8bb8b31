"""Words of a fixed confidence are labels, and not a rising share of the images."""

_base_ = '../small/small_self-training.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(
    objectives=[
        dict(
            type='mmocr_da.SelfTraining',
            threshold=0.5,
            average='all',
            decay=0.99,
            ramp=_base_.max_iters // 10,
        )
    ]
)
