"""Post-tuned by the KFIoU."""

_base_ = '../../_base_/small_rrpn.py'

head = dict(reg_decoded_bbox=True, loss_bbox=dict(_delete_=True, type='mmocr_da.KFIoULoss'))
if _base_.stage == 'rpn':
    model = dict(cfg=dict(rpn_head=head))
else:
    model = dict(cfg=dict(roi_head=dict(bbox_head=head)))
