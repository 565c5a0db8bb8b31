"""The recognizer trained on printed numbers alone, with batch-instance norm."""

_base_ = ['../assda/small_source-only_p2h.py', '../_base_/gates.py']

model = dict(type='mmocr_da.WithBIN', of='mmocr_da.AdaptiveRecognizer')
optim_wrapper = _base_.gates
