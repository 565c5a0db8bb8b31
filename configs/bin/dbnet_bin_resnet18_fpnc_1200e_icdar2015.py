"""DBNet with batch-instance norms in backbone and head; everything else is MMOCR's."""

_base_ = ['mmocr::textdet/dbnet/dbnet_resnet18_fpnc_1200e_icdar2015.py', '../_base_/gates.py']

model = dict(type='mmocr_da.WithBIN', of='DBNet')
optim_wrapper = _base_.gates
