"""SymNet: two classifiers of characters that cannot tell the domains apart."""

_base_ = './_base_small_p2h.py'

model = dict(objectives=[_base_.symnet])
# C^t learns as fast as C^s.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'objectives': dict(lr_mult=1.0)}))
val_evaluator = _base_.both_readings
test_evaluator = val_evaluator
