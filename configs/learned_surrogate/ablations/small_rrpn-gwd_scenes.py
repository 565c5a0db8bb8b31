"""Post-tuned by the Gaussian Wasserstein distance."""

_base_ = '../../_base_/small_rrpn.py'

# By itself its gradient is a seventh of that of smooth-L1.
head = dict(
    reg_decoded_bbox=True,
    loss_bbox=dict(_delete_=True, type='mmocr_da.GWDLoss', loss_weight=1 if _base_.balance else 5),
)
if _base_.stage == 'rpn':
    model = dict(cfg=dict(rpn_head=head))
else:
    model = dict(cfg=dict(roi_head=dict(bbox_head=head)))
