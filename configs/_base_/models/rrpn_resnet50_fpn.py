"""RRPN (Ma et al., arXiv:1703.01086): MMDetection's Faster R-CNN with rotated boxes."""

_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'

rrpn = _base_.pop('model')
# Merged into it key by key.
rotated_nms = dict(type='nms_rotated', iou_threshold=0.7)
# Ignored text ('###') is neither text nor background.
rrpn.update(
    dict(
        data_preprocessor=dict(pad_mask=False, boxtype2tensor=False),
        rpn_head=dict(
            anchor_generator=dict(
                type='mmocr_da.RotatedAnchorGenerator',
                scales=[8],
                ratios=[0.5, 0.2, 0.125],
                strides=[4, 8, 16, 32, 64],
            ),
            bbox_coder=dict(
                type='mmocr_da.DeltaXYWHTBBoxCoder', target_means=(0.0,) * 5, target_stds=(1.0,) * 5
            ),
            loss_bbox=dict(type='SmoothL1Loss', beta=1 / 9),
        ),
        roi_head=dict(
            bbox_roi_extractor=dict(
                type='mmocr_da.RotatedRoIExtractor', roi_layer=dict(type='RoIAlignRotated')
            ),
            bbox_head=dict(
                num_classes=1,
                predict_box_type='rotated',
                # RRPN weighs by (10, 10, 5, 5, 1).
                bbox_coder=dict(
                    type='mmocr_da.DeltaXYWHTBBoxCoder',
                    target_means=(0.0,) * 5,
                    target_stds=(0.1, 0.1, 0.2, 0.2, 1.0),
                ),
                loss_bbox=dict(type='SmoothL1Loss', beta=1.0),
            ),
        ),
        train_cfg=dict(
            rpn=dict(
                assigner=dict(
                    type='mmocr_da.AngleMaxIoUAssigner',
                    iou_calculator=dict(type='mmocr_da.RotatedOverlaps'),
                    ignore_iof_thr=0.5,
                )
            ),
            rpn_proposal=dict(nms=rotated_nms),
            rcnn=dict(
                assigner=dict(
                    iou_calculator=dict(type='mmocr_da.RotatedOverlaps'), ignore_iof_thr=0.5
                )
            ),
        ),
        test_cfg=dict(
            rpn=dict(nms=rotated_nms),
            rcnn=dict(nms=dict(type='nms_rotated', iou_threshold=0.3), max_per_img=300),
        ),
    )
)

model = dict(type='mmocr_da.RotatedMMDetWrapper', cfg=rrpn)
