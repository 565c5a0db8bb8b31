"""A Mask R-CNN that is post-tuned by MMDetection's GIoU."""

_base_ = '../../_base_/small_mask_rcnn.py'

head = dict(reg_decoded_bbox=True, loss_bbox=dict(_delete_=True, type='GIoULoss'))
if _base_.stage == 'rpn':
    model = dict(cfg=dict(rpn_head=head))
else:
    model = dict(cfg=dict(roi_head=dict(bbox_head=head)))
