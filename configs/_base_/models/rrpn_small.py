"""RRPN of 1 M parameters, for a CPU."""

_base_ = './rrpn_resnet50_fpn.py'

model = dict(
    cfg=dict(
        backbone=dict(depth=18, base_channels=16, frozen_stages=-1, norm_eval=False, init_cfg=None),
        neck=dict(in_channels=[16, 32, 64, 128], out_channels=64, start_level=1, num_outs=3),
        rpn_head=dict(
            in_channels=64, feat_channels=64, anchor_generator=dict(scales=[3], strides=[8, 16, 32])
        ),
        roi_head=dict(
            bbox_roi_extractor=dict(
                roi_layer=dict(output_size=(4, 8), sampling_ratio=1),
                out_channels=64,
                featmap_strides=[8, 16, 32],
                finest_scale=36,
            ),
            bbox_head=dict(in_channels=64, fc_out_channels=128, roi_feat_size=(4, 8)),
        ),
        train_cfg=dict(
            rpn=dict(assigner=dict(pos_iou_thr=0.6, min_pos_iou=0.2)),
            rpn_proposal=dict(nms_pre=300, max_per_img=200),
            rcnn=dict(sampler=dict(num=128)),
        ),
        test_cfg=dict(rpn=dict(nms_pre=600, max_per_img=400)),
    )
)
