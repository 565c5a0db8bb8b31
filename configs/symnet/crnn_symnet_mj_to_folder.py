"""SymNet on MMOCR's CRNN, a CTC recognizer, with the learning rates of the paper."""

_base_ = ['mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py', '../_base_/two_domains.py']

# MMOCR's released weights, or your own: load_from = 'crnn_mini-vgg_5e_mj.pth'
model = dict(
    type='mmocr_da.AdaptiveRecognizer',
    # A text that is longer than the 25 positions has no alignment.
    decoder=dict(module_loss=dict(zero_infinity=True)),
    objectives=[dict(type='mmocr_da.SymNetHead')],
)
# Section 4.1: the classifiers at 0.01, all others, which are trained already, at a tenth of it.
# Nesterov momentum is that of the released code.
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1e-3, momentum=0.9, nesterov=True, weight_decay=1e-4),
    paramwise_cfg=dict(
        custom_keys={
            'decoder.decoder.1.embedding': dict(lr_mult=10.0),
            'objectives': dict(lr_mult=10.0),
        }
    ),
    clip_grad=dict(max_norm=5.0),
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
