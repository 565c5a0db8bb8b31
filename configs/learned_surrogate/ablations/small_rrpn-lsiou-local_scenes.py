"""Local approximation: the surrogate learns from the detector's boxes alone, from the start."""

_base_ = '../../_base_/small_rrpn.py'

_warmup = 300
head = dict(
    reg_decoded_bbox=True,
    loss_bbox=dict(
        _delete_=True,
        type='mmocr_da.LSIoULoss',
        surrogate=dict(
            _base_.surrogate, approximation='local', pairs=None, pretrain_steps=0, warmup=_warmup
        ),
    ),
)
if _base_.stage == 'rpn':
    model = dict(cfg=dict(rpn_head=head))
else:
    model = dict(cfg=dict(roi_head=dict(bbox_head=head)))
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys=dict(surrogate=dict(lr_mult=2e-3 / _base_.optim_wrapper.optimizer.lr))
    )
)
_end = _warmup + _base_.surrogate_iters
train_cfg = dict(max_iters=_end, val_interval=_end)
default_hooks = dict(checkpoint=dict(interval=_end))
_rising, _falling = _base_.surrogate_schedule
param_scheduler = [
    dict(_rising, begin=_warmup, end=_warmup + 50),
    dict(_falling, begin=_warmup, end=_end),
]
custom_hooks = _base_.surrogate_hooks
# In several processes: an iteration trains either the surrogate or the model.
find_unused_parameters = True
