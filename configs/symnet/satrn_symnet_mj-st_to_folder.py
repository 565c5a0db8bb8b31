"""SymNet on MMOCR's SATRN: synthetic words to a folder of images without labels."""

_base_ = ['mmocr::textrecog/satrn/satrn_shallow-small_5e_st_mj.py', '../_base_/two_domains.py']

# MMOCR's released weights, or your own: load_from = 'satrn_shallow-small_5e_st_mj.pth'
model = dict(
    type='mmocr_da.AdaptiveRecognizer',
    objectives=[dict(type='mmocr_da.SymNetHead')],
)
# The classifiers learn ten times as fast as the features (section 4.1).
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    paramwise_cfg=dict(
        custom_keys={'decoder.classifier': dict(lr_mult=10.0), 'objectives': dict(lr_mult=10.0)}
    ),
)
train_dataloader = dict(
    **_base_.two_domain_loader,
    dataset=dict(
        **_base_.two_domain_dataset, source=_base_.train_list, pipeline=_base_.train_pipeline
    ),
)
auto_scale_lr = dict(base_batch_size=256)
train_cfg = _base_.iteration_loop
param_scheduler = [dict(type='mmocr_da.InverseDecayLR', by_epoch=False)]
default_hooks, log_processor = _base_.iteration_hooks, _base_.iteration_log
visualizer = _base_.iteration_curves
# The predictions of both classifiers side by side.
val_evaluator = dict(
    metrics=[
        *_base_.val_evaluator.metrics,
        dict(type='mmocr_da.TextErrorMetric', prediction='pred_text_source', prefix='C_s'),
        dict(type='mmocr_da.TextErrorMetric', prediction='pred_text_target', prefix='C_t'),
    ]
)
test_evaluator = val_evaluator
