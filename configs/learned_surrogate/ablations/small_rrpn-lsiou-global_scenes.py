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
# The surrogate comes pre-trained.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(surrogate=dict(lr_mult=0.4))))
custom_hooks = _base_.surrogate_hooks
# In several processes: an iteration trains either the surrogate or the model.
find_unused_parameters = True
