"""SymNet on MMOCR's own CRNN config, a CTC recognizer, with the learning rates of the paper."""

_base_ = 'mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py'

model = dict(
    type='mmocr_da.AdaptiveRecognizer',
    objectives=[dict(type='mmocr_da.SymNetHead')],
    # A text that is longer than the 25 positions has no alignment.
    decoder=dict(module_loss=dict(zero_infinity=True)),
)

train_dataloader = dict(
    batch_size=256,  # 128 source + 128 target
    sampler=dict(_delete_=True, type='mmocr_da.TwoDomainSampler', batch_size=256),
    dataset=dict(
        _delete_=True,
        type='mmocr_da.TwoDomainDataset',
        source=_base_.train_list,
        target=dict(type='mmocr_da.UnlabelledDataset', img_dir='data/my_images', pipeline=None),
        pipeline=_base_.train_pipeline,
    ),
)
auto_scale_lr = dict(base_batch_size=256)

# MMOCR's released weights, or your own: load_from = 'crnn_mini-vgg_5e_mj.pth'
train_cfg = dict(
    _delete_=True, type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=20000, val_interval=2000
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
param_scheduler = [dict(type='mmocr_da.InverseDecayLR', by_epoch=False)]
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=2000)
)
log_processor = dict(by_epoch=False)
visualizer = dict(vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
val_evaluator = dict(
    metrics=[
        *_base_.val_evaluator.metrics,
        dict(type='mmocr_da.TextErrorMetric', prediction='pred_text_source', prefix='C_s'),
        dict(type='mmocr_da.TextErrorMetric', prediction='pred_text_target', prefix='C_t'),
    ]
)
test_evaluator = val_evaluator
