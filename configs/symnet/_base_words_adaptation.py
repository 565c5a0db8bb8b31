"""What every adaptation of words shares: where it starts, how long it runs, how fast it learns."""

_base_ = './_base_words.py'

load_from = 'work_dirs/words_source-only/iter_2000.pth'
train_cfg = dict(max_iters=300, val_interval=100)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[210], gamma=0.1)]
# Adversaries that keep up with the features: they learn five times as fast.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'objectives': dict(lr_mult=5.0)}))
# With more, readings of the target grow longer and longer: `symnet_target_length` in the log.
symnet = dict(type='mmocr_da.SymNetHead', weight=0.1)
both_readings = dict(
    metrics=_base_.val_evaluator.metrics
    + [
        dict(
            type='mmocr_da.TextErrorMetric',
            ignore_case=True,
            ignore_symbols=True,
            prediction=f'pred_text_{domain}',
            prefix=f'C_{domain[0]}',
        )
        for domain in ('source', 'target')
    ]
)
