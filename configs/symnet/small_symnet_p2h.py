"""SymNet: two classifiers of characters that cannot tell the domains apart."""
_base_ = './_base_small_p2h.py'

model = dict(objectives=[_base_.symnet])
val_evaluator = _base_.both_readings
test_evaluator = val_evaluator
