"""Post-tuned by the exact rotated IoU."""

_base_ = '../../_base_/small_rrpn.py'

head = dict(reg_decoded_bbox=True, loss_bbox=dict(_delete_=True, type='mmocr_da.RotatedIoULoss'))
if _base_.stage == 'rpn':
    model = dict(cfg=dict(rpn_head=head))
else:
    model = dict(cfg=dict(roi_head=dict(bbox_head=head)))
