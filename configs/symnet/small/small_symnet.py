"""SymNet: two classifiers of characters that cannot tell the domains apart."""

_base_ = '../../_base_/small_adaptation.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

train_cfg = dict(val_interval=100)
symnet = dict(type='mmocr_da.SymNetHead', weight=_base_.objective_weight)
model = dict(objectives=[symnet])
# C^t learns as fast as C^s.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'objectives': dict(lr_mult=1.0)}))
# The predictions of both classifiers side by side.
val_evaluator = dict(
    metrics=[
        _base_.metric,
        dict(_base_.metric, prediction='pred_text_source', prefix='C_s'),
        dict(_base_.metric, prediction='pred_text_target', prefix='C_t'),
    ]
)
test_evaluator = val_evaluator
