"""Mask R-CNN with batch-instance norms; MMDetection freezes stem and first stage, and their gates.

Its batch norms use the running statistics of the pretrained backbone also in training
(``norm_eval``); the instance norms they are blended with are those of the images.
"""

_base_ = ['mmocr::textdet/maskrcnn/mask-rcnn_resnet50_fpn_160e_icdar2015.py', '../_base_/gates.py']

model = dict(type='mmocr_da.WithBIN', of='MMDetWrapper')
optim_wrapper = _base_.gates
