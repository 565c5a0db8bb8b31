"""LS-ED: the trained recognizer, tuned on the learned edit distance (local-global)."""

_base_ = [
    '../../_base_/small_lsed/choice.py',
    '../../_base_/small_lsed/{{$MMOCR_DA_DATA:numbers}}.py',
]
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(
    type='mmocr_da.AdaptiveRecognizer',
    supervised_weight=0,  # the learned edit distance alone, as in the paper
    objectives=[
        dict(
            type='mmocr_da.LSEDLoss',
            surrogate=dict(  # of 0.7 M parameters, for short texts
                channels=(64,) * 5,
                hidden_channels=256,
                max_distance=5,
                gradient_weight=0.1,
                warmup=50,
            ),
        )
    ],
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'objectives': dict(lr_mult=10.0)}))
# The surrogate is written to surrogate_iter_*.pth beside each checkpoint.
custom_hooks = [dict(type='mmocr_da.SurrogateExportHook'), dict(type='mmocr_da.SurrogateWatchHook')]
# In several processes: an iteration trains either the surrogate or the model.
find_unused_parameters = True
