"""The control: a Mask R-CNN that is post-tuned by what it was trained with."""

_base_ = '../../_base_/small_mask_rcnn.py'
