"""Comes before the file that the option MMOCR_DA_DATA names, and refuses one that is not there.

It also has LS-ED of the small recognizers, local-global, with a surrogate of 0.7 M parameters. The
surrogate learns alone before the tuning, which is as long as that by other losses.
"""

choice = '{{$MMOCR_DA_DATA:numbers}}'
if choice not in ('numbers', 'words', 'rendered'):
    raise ValueError(f"MMOCR_DA_DATA must be 'numbers', 'words' or 'rendered' here, got {choice!r}")

surrogate_iters = 500
lsed = dict(
    type='mmocr_da.LSEDLoss',
    surrogate=dict(  # for short texts
        channels=(64,) * 5,
        hidden_channels=256,
        max_distance=5,
        gradient_weight=0.1,
        warmup=surrogate_iters,
    ),
)
# The surrogate is written to surrogate_iter_*.pth beside each checkpoint.
surrogate_hooks = [
    dict(type='mmocr_da.SurrogateExportHook'),
    dict(type='mmocr_da.SurrogateWatchHook'),
]
surrogate_learning_rate = dict(custom_keys={'objectives': dict(lr_mult=10.0)})
