"""The trained recognizer, tuned on the expected edit distance of texts that it draws."""

_base_ = [
    '../../_base_/small_lsed/choice.py',
    '../../_base_/small_lsed/{{$MMOCR_DA_DATA:numbers}}.py',
]
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(
    supervised_weight=0.08,  # of the mean over about 8 steps: 0.01 of their sum, as in the paper
    objectives=[dict(type='mmocr_da.MinimumRisk', num_texts=8, estimate='n-best')],
)
