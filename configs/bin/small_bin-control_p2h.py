"""As many further steps on the source as an adaptation has, with batch-instance norm."""

_base_ = ['../assda/small_control_p2h.py', '../_base_/gates.py']

model = dict(type='mmocr_da.WithBIN', of='mmocr_da.AdaptiveRecognizer')
optim_wrapper = _base_.gates
load_from = 'work_dirs/small_bin-source-only_p2h/iter_400.pth'
