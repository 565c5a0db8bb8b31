"""Post-tuning of a small rotated detector (1.2 M parameters) on the photos of a folder, on a CPU.

Data: tools/dataset_converters/rotated_scenes.py. The folder has instances_train.json and
instances_test.json in MMOCR's format, whose paths are relative to it. ``load_from``, the detector
to tune, is given on the command line. Options of the environment:

* ``MMOCR_DA_SCENES``: another folder, ``MMOCR_DA_SPLIT``: what is tested of it (``test``).
* ``MMOCR_DA_STAGE``: the stage whose loss of boxes is the one of the config, the second one
  (``roi``) or the proposals (``rpn``). The other one keeps smooth-L1.
* ``MMOCR_DA_GRADIENT``: the loss gets a gradient as large as smooth-L1 with this weight has
  (``mmocr_da.BalancedBBoxHead``); 0 leaves it as it is.
* ``MMOCR_DA_ITERS``, ``MMOCR_DA_LR``: length and learning rate of the tuning; the length is the
  number of steps of the detector, beside which a surrogate has its own.

Angles are divided by 0.1, and not by 1 as in RRPN. A loss of overlaps sees an angle that is 0.1 off
as well as a width that is a tenth off. With RRPN's divisor, smooth-L1 hardly does: 0.1 % of its
squared gradient was that of the angle, and 96 % of the exact IoU's (drawn boxes at an IoU of 0.88).
"""

_base_ = [
    './models/rrpn_resnet50_fpn.py',
    './detection.py',
]

detection_data_root = '{{$MMOCR_DA_SCENES:data/rotated_scenes}}'
test_labels = 'instances_{{$MMOCR_DA_SPLIT:test}}.json'
stage = '{{$MMOCR_DA_STAGE:roi}}'
if stage not in ('roi', 'rpn'):
    raise ValueError(f"MMOCR_DA_STAGE must be 'roi' or 'rpn', got {stage!r}")
gradient = float('{{$MMOCR_DA_GRADIENT:0}}')
balance = None
if gradient:
    _beta = 1.0 if stage == 'roi' else 1 / 9  # of the smooth-L1 of each stage
    balance = dict(reference=dict(type='SmoothL1Loss', beta=_beta, loss_weight=gradient))

model = dict(
    cfg=dict(
        # The statistics of four images are noisy: a tuning keeps those of the training before.
        backbone=dict(depth=18, base_channels=16, frozen_stages=-1, norm_eval=True, init_cfg=None),
        neck=dict(in_channels=[16, 32, 64, 128], out_channels=64, start_level=1, num_outs=3),
        rpn_head=dict(
            type='mmocr_da.BalancedRPNHead',
            balance=balance if stage == 'rpn' else None,
            in_channels=64,
            feat_channels=64,
            anchor_generator=dict(scales=[3], strides=[8, 16, 32]),
        ),
        roi_head=dict(
            bbox_roi_extractor=dict(
                roi_layer=dict(output_size=(4, 8), sampling_ratio=1),
                out_channels=64,
                featmap_strides=[8, 16, 32],
                finest_scale=36,
            ),
            bbox_head=dict(
                type='mmocr_da.BalancedBBoxHead',
                balance=balance if stage == 'roi' else None,
                in_channels=64,
                fc_out_channels=128,
                roi_feat_size=(4, 8),
                bbox_coder=dict(target_stds=(0.1, 0.1, 0.2, 0.2, 0.1)),
            ),
        ),
        train_cfg=dict(
            rpn=dict(assigner=dict(pos_iou_thr=0.6, min_pos_iou=0.2)),
            rpn_proposal=dict(nms_pre=300, max_per_img=200),
            rcnn=dict(sampler=dict(num=128)),
        ),
        test_cfg=dict(rpn=dict(nms_pre=600, max_per_img=400)),
    )
)
# Of mmocr_da.LSIoULoss.
surrogate = dict(
    approximation='local-global',
    pairs=dict(ann_files=f'{detection_data_root}/instances_train.json'),
    pretrain_steps=2000,
    surrogate_steps=1,
    model_steps=9,
)
# The surrogate is written to surrogate_iter_*.pth beside each checkpoint.
surrogate_hooks = [
    dict(type='mmocr_da.SurrogateExportHook'),
    dict(type='mmocr_da.SurrogateWatchHook'),
]

max_iters = int('{{$MMOCR_DA_ITERS:300}}')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=float('{{$MMOCR_DA_LR:2e-4}}')),
    clip_grad=dict(max_norm=5.0),
)
# Adam knows nothing of the detector at first.
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.1, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters),
]
train_cfg = dict(
    type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(checkpoint=dict(interval=max_iters if max_iters < 1000 else 500))
# With a surrogate, which comes pre-trained: of ten iterations nine train the detector.
surrogate_iters = -(-max_iters * 10 // 9)
surrogate_loop = dict(max_iters=surrogate_iters, val_interval=surrogate_iters)
surrogate_schedule = [param_scheduler[0], dict(param_scheduler[1], T_max=surrogate_iters)]
surrogate_learning_rate = dict(
    custom_keys=dict(surrogate=dict(lr_mult=2e-4 / optim_wrapper['optimizer']['lr']))
)
auto_scale_lr = dict(base_batch_size=4)

train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.SeededSampler', batch_size=4),
    dataset=dict(
        type='mmocr_da.SeededDataset',
        datasets=dict(
            type='OCRDataset',
            data_root=detection_data_root,
            ann_file='instances_train.json',
            pipeline=None,
        ),
        pipeline=[
            _base_.load_photo,
            _base_.load_boxes,
            _base_.check_polygons,
            dict(
                type='RandomChoice',
                transforms=[
                    [dict(type='Resize', scale_factor=factor)] for factor in (0.7, 0.85, 1.0, 1.2)
                ],
            ),
            dict(type='RandomRotate', max_angle=15, use_canvas=True),
            dict(type='TextDetRandomCrop', target_size=(384, 384), positive_sample_ratio=0.9),
            _base_.jitter,
            *_base_.pack_boxes,
        ],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='OCRDataset',
        data_root=detection_data_root,
        ann_file=test_labels,
        test_mode=True,
        pipeline=[
            _base_.load_test_photo,
            dict(type='Resize', scale_factor=1.0),
            _base_.load_boxes,
            _base_.check_polygons,
            _base_.pack_polygons,
        ],
    ),
)
test_dataloader = val_dataloader
