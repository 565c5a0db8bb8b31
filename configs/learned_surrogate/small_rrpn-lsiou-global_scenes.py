"""Global approximation: the surrogate learns from generated pairs alone."""

_base_ = './small_rrpn-lsiou_scenes.py'

model = dict(
    cfg=dict(roi_head=dict(bbox_head=dict(loss_bbox=dict(surrogate=dict(approximation='global')))))
)
