"""ASSDA on MMOCR's own ASTER config: synthetic words to a folder of images without labels."""

_base_ = 'mmocr::textrecog/aster/aster_resnet45_6e_st_mj.py'

model = dict(
    type='mmocr_da.AdaptiveRecognizer',
    objectives=[
        dict(type='mmocr_da.GlobalAlignment', in_channels=512, pooling='position', weight=0.1),
        dict(type='mmocr_da.LocalAlignment', in_channels=512, weight=0.3, threshold=0.5),
    ],
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

# MMOCR's released weights, or your own: load_from = 'aster_resnet45_6e_st_mj.pth'
train_cfg = dict(
    _delete_=True, type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=20000, val_interval=2000
)
param_scheduler = []
optim_wrapper = dict(optimizer=dict(lr=1e-4))
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=2000)
)
log_processor = dict(by_epoch=False)
visualizer = dict(vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
