"""ASTER with batch-instance norms, also in its rectification; everything else is MMOCR's."""

_base_ = ['mmocr::textrecog/aster/aster_resnet45_6e_st_mj.py', '../_base_/gates.py']

model = dict(type='mmocr_da.WithBIN', of='ASTER')
optim_wrapper = _base_.gates
