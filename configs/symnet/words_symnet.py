"""SymNet on the frames of a CTC recognizer."""

_base_ = './_base_words_adaptation.py'

model = dict(objectives=[_base_.symnet])
# C^t learns as fast as C^s.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'objectives': dict(lr_mult=1.0)}))
val_evaluator = _base_.both_readings
test_evaluator = val_evaluator
