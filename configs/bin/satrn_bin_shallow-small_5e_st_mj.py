"""SATRN with batch-instance norms in its backbone and encoder; everything else is MMOCR's."""

_base_ = ['mmocr::textrecog/satrn/satrn_shallow-small_5e_st_mj.py', '../_base_/gates.py']

model = dict(type='mmocr_da.WithBIN', of='SATRN')
optim_wrapper = _base_.gates
