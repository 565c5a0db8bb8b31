"""SymNet on the frames of a CTC recognizer."""
_base_ = './_base_words_adaptation.py'

model = dict(objectives=[_base_.symnet])
val_evaluator = _base_.both_readings
test_evaluator = val_evaluator
