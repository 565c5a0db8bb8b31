"""CRNN with batch-instance norms; everything else is MMOCR's."""

_base_ = ['mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py', '../_base_/gates.py']

model = dict(type='mmocr_da.WithBIN', of='CRNN')
optim_wrapper = _base_.gates
