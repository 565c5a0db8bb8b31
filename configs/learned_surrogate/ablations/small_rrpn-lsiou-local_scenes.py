"""Local approximation: the surrogate learns from the detector's boxes alone, from the start."""

_base_ = '../../_base_/small_rrpn.py'

head = dict(
    reg_decoded_bbox=True,
    loss_bbox=dict(
        _delete_=True,
        type='mmocr_da.LSIoULoss',
        surrogate=dict(
            _base_.surrogate, approximation='local', pairs=None, pretrain_steps=0, warmup=50
        ),
    ),
)
if _base_.stage == 'rpn':
    model = dict(cfg=dict(rpn_head=head))
else:
    model = dict(cfg=dict(roi_head=dict(bbox_head=head)))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(surrogate=dict(lr_mult=4))))
custom_hooks = _base_.surrogate_hooks
# In several processes: an iteration trains either the surrogate or the model.
find_unused_parameters = True
