custom_imports = dict(allow_failed_imports=False, imports=[])
default_hooks = dict(
    checkpoint=dict(
        by_epoch=False, interval=160, max_keep_ckpts=2, type='CheckpointHook'),
    logger=dict(interval=20, log_metric_by_epoch=False, type='LoggerHook'),
    param_scheduler=dict(type='ParamSchedulerHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    sync_buffer=dict(type='SyncBuffersHook'),
    timer=dict(type='IterTimerHook'),
    visualization=dict(
        draw_gt=False,
        draw_pred=False,
        enable=False,
        interval=1,
        show=False,
        type='VisualizationHook'))
default_scope = 'mmocr'
env_cfg = dict(
    cudnn_benchmark=False,
    dist_cfg=dict(backend='nccl'),
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
log_level = 'INFO'
log_processor = dict(by_epoch=False, type='LogProcessor', window_size=10)
model = dict(
    backbone=dict(
        arch_channels=[
            32,
            64,
            128,
            128,
        ],
        arch_layers=[
            1,
            1,
            1,
            1,
        ],
        block_cfgs=dict(type='BasicBlock', use_conv1x1=False),
        in_channels=1,
        stem_channels=[
            16,
        ],
        strides=[
            (
                2,
                2,
            ),
            (
                2,
                2,
            ),
            (
                2,
                1,
            ),
            (
                2,
                1,
            ),
        ],
        type='ResNet'),
    data_preprocessor=dict(
        mean=[
            127.5,
        ], std=[
            127.5,
        ], type='TextRecogDataPreprocessor'),
    decoder=dict(
        attn_dims=128,
        dictionary=dict(
            dict_file='{{ fileDirname }}/digits.txt',
            same_start_end=True,
            type='Dictionary',
            with_end=True,
            with_padding=True,
            with_start=True,
            with_unknown=False),
        emb_dims=128,
        hidden_size=128,
        in_channels=128,
        max_seq_len=25,
        module_loss=dict(
            flatten=True,
            ignore_first_char=True,
            reduction='mean',
            type='CEModuleLoss'),
        postprocessor=dict(type='AttentionPostprocessor'),
        type='ASTERDecoder'),
    encoder=dict(in_channels=128, type='ASTEREncoder'),
    init_cfg=None,
    type='EncoderDecoderRecognizer')
test_cfg = dict(type='TestLoop')
test_dataloader = dict(
    batch_size=250,
    dataset=dict(
        datasets=[
            dict(
                ann_file='textrecog_test.json',
                data_root='data/printed_to_handwritten/source',
                pipeline=None,
                test_mode=True,
                type='OCRDataset'),
            dict(
                ann_file='textrecog_test.json',
                data_root='data/printed_to_handwritten/target',
                pipeline=None,
                test_mode=True,
                type='OCRDataset'),
        ],
        pipeline=[
            dict(color_type='grayscale', type='LoadImageFromFile'),
            dict(type='LoadOCRAnnotations', with_text=True),
            dict(scale=(
                64,
                16,
            ), type='Resize'),
            dict(
                condition=
                "results.update(img=(lambda x, padding: np.hstack([127.5 + 64 * (x - x.mean()) / max((x * x).mean() - x.mean() ** 2, 1) ** 0.5, np.full_like(padding, 127.5)]).astype(np.float32))(*np.split(results['img'].astype(float), [max(1, round(results['img'].shape[1] * results.get('valid_ratio', 1)))], axis=1)))",
                type='ConditionApply'),
            dict(
                meta_keys=(
                    'img_path',
                    'ori_shape',
                    'img_shape',
                    'valid_ratio',
                ),
                type='PackTextRecogInputs'),
        ],
        type='ConcatDataset'),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(shuffle=False, type='DefaultSampler'))
test_evaluator = dict(
    dataset_prefixes=[
        'source',
        'target',
    ],
    metrics=[
        dict(
            mode=[
                'exact',
                'ignore_case',
                'ignore_case_symbol',
            ],
            type='WordMetric'),
        dict(type='CharMetric'),
        dict(type='OneMinusNEDMetric'),
    ],
    type='MultiDatasetsEvaluator')
test_pipeline = [
    dict(color_type='grayscale', type='LoadImageFromFile'),
    dict(type='LoadOCRAnnotations', with_text=True),
    dict(scale=(
        64,
        16,
    ), type='Resize'),
    dict(
        condition=
        "results.update(img=(lambda x, padding: np.hstack([127.5 + 64 * (x - x.mean()) / max((x * x).mean() - x.mean() ** 2, 1) ** 0.5, np.full_like(padding, 127.5)]).astype(np.float32))(*np.split(results['img'].astype(float), [max(1, round(results['img'].shape[1] * results.get('valid_ratio', 1)))], axis=1)))",
        type='ConditionApply'),
    dict(
        meta_keys=(
            'img_path',
            'ori_shape',
            'img_shape',
            'valid_ratio',
        ),
        type='PackTextRecogInputs'),
]
tta_model = dict(type='EncoderDecoderRecognizerTTAModel')
vis_backends = [
    dict(type='LocalVisBackend'),
    dict(type='TensorboardVisBackend'),
]
visualizer = dict(
    name='visualizer',
    type='TextRecogLocalVisualizer',
    vis_backends=[
        dict(type='LocalVisBackend'),
        dict(type='TensorboardVisBackend'),
    ])
