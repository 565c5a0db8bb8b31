"""SVTR-tiny with batch-instance norms in its rectification and patch embedding."""

_base_ = ['mmocr::textrecog/svtr/svtr-tiny_20e_st_mj.py', '../_base_/gates.py']

model = dict(type='mmocr_da.WithBIN', of='SVTR')
optim_wrapper = _base_.gates
