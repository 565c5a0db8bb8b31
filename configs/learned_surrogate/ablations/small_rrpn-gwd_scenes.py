"""Post-tuned by the Gaussian Wasserstein distance."""

_base_ = '../../_base_/small_rrpn.py'

model = dict(
    cfg=dict(
        roi_head=dict(
            bbox_head=dict(
                reg_decoded_bbox=True,
                # By itself its gradient is a seventh of that of smooth-L1.
                loss_bbox=dict(_delete_=True, type='mmocr_da.GWDLoss', loss_weight=5),
            )
        )
    )
)
