"""Post-tuning with LS-IoU at full size, for 20k images; ``load_from`` comes by command line."""

_base_ = '../_base_/rrpn_icdar.py'

max_iters = 20000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 4)
optim_wrapper = dict(
    optimizer=dict(lr=5e-4), paramwise_cfg=dict(custom_keys=dict(surrogate=dict(lr_mult=0.4)))
)
param_scheduler = []
default_hooks = dict(checkpoint=dict(interval=max_iters // 4))

labels = [
    f'{dataset.data_root}/{dataset.ann_file}'
    for dataset in (_base_.icdar2015_textdet_train, _base_.icdar2017_textdet_train)
]
model = dict(
    cfg=dict(
        roi_head=dict(
            bbox_head=dict(
                reg_decoded_bbox=True,
                loss_bbox=dict(
                    _delete_=True,
                    type='mmocr_da.LSIoULoss',
                    surrogate=dict(
                        pairs=dict(ann_files=labels), pretrain_steps=2000, model_steps=9
                    ),
                ),
            )
        )
    )
)
# The surrogate is written to surrogate_iter_*.pth beside each checkpoint.
custom_hooks = [dict(type='mmocr_da.SurrogateExportHook'), dict(type='mmocr_da.SurrogateWatchHook')]
# In several processes: an iteration trains either the surrogate or the model.
find_unused_parameters = True
