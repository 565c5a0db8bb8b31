"""Post-tuned by the learned surrogate of rotated IoU, from predictions and generated pairs."""

_base_ = ['./_base_small_tuning.py', './_base_surrogate_hooks.py']

surrogate = dict(
    approximation='local-global',
    pairs=dict(ann_files=f'{_base_.detection_data_root}/instances_train.json'),
    pretrain_steps=2000,
    surrogate_steps=1,
    model_steps=9,
)
model = dict(
    cfg=dict(
        roi_head=dict(
            bbox_head=dict(
                reg_decoded_bbox=True,
                loss_bbox=dict(_delete_=True, type='mmocr_da.LSIoULoss', surrogate=surrogate),
            )
        )
    )
)
# The surrogate comes pre-trained.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(surrogate=dict(lr_mult=0.4))))
