"""Local approximation: the surrogate learns from the detector's boxes alone, from the start."""

_base_ = './small_rrpn-lsiou_scenes.py'

model = dict(
    cfg=dict(
        roi_head=dict(
            bbox_head=dict(
                loss_bbox=dict(
                    surrogate=dict(approximation='local', pairs=None, pretrain_steps=0, warmup=50)
                )
            )
        )
    )
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(surrogate=dict(lr_mult=4))))
