"""Global approximation: the surrogate learns from generated pairs alone."""

_base_ = '../../_base_/small_rrpn.py'

head = dict(
    reg_decoded_bbox=True,
    loss_bbox=dict(
        _delete_=True,
        type='mmocr_da.LSIoULoss',
        surrogate=dict(_base_.surrogate, approximation='global'),
    ),
)
if _base_.stage == 'rpn':
    model = dict(cfg=dict(rpn_head=head))
else:
    model = dict(cfg=dict(roi_head=dict(bbox_head=head)))
optim_wrapper = dict(paramwise_cfg=_base_.surrogate_learning_rate)
train_cfg, param_scheduler = _base_.surrogate_loop, _base_.surrogate_schedule
default_hooks = dict(checkpoint=dict(interval=_base_.surrogate_iters))
custom_hooks = _base_.surrogate_hooks
# In several processes: an iteration trains either the surrogate or the model.
find_unused_parameters = True
