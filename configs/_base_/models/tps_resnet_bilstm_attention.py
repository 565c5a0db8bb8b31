"""ASSDA's recognizer as printed: TPS, the ResNet of Table I, BiLSTM, attention of eq. 2 to 6."""

dictionary = dict(
    type='Dictionary',
    dict_file='{{ fileDirname }}/../dicts/lower_english_digits.txt',
    with_start=True,
    with_end=True,
    same_start_end=False,
    with_padding=True,
    with_unknown=True,
)

# Pooling and convolution around the stages of Table I.
_stages = [
    dict(
        cfg=dict(type='Maxpool2d', kernel_size=2, stride=2),
        stages=(True, True, False, False),
        position='before_stage',
    ),
    dict(
        cfg=dict(type='Maxpool2d', kernel_size=(2, 1), stride=(2, 1)),
        stages=(False, False, True, False),
        position='before_stage',
    ),
    dict(
        cfg=dict(type='ConvModule', kernel_size=3, padding=1, bias=False, norm_cfg=dict(type='BN')),
        stages=(True, True, True, False),
        position='after_stage',
    ),
]

model = dict(
    type='mmocr_da.AdaptiveRecognizer',
    data_preprocessor=dict(type='TextRecogDataPreprocessor', mean=[127.5], std=[127.5]),
    preprocessor=dict(
        type='STN',
        in_channels=1,
        resized_image_size=(32, 64),
        output_image_size=(32, 100),
        num_control_points=20,
    ),
    backbone=dict(
        type='mmocr_da.TextResNet',
        in_channels=1,
        stem_channels=[32, 64],
        block_cfgs=dict(type='BasicBlock', use_conv1x1=False),
        arch_layers=[2, 2, 5, 3],
        arch_channels=[128, 256, 512, 512],
        strides=[1, 1, 1, 1],
        plugins=_stages,
        tail=[  # 32 x 100 -> 2 x 25
            dict(out_channels=512, kernel_size=3, stride=(2, 1), padding=1),
            dict(out_channels=64, kernel_size=3, padding=1),
        ],
    ),
    encoder=dict(type='mmocr_da.BiLSTMEncoder', in_channels=64, hidden_size=256, out_channels=256),
    decoder=dict(
        type='mmocr_da.AttentionDecoder',
        in_channels=256,
        emb_dims=512,
        attn_dims=512,
        hidden_size=512,
        max_seq_len=26,
        dictionary=dictionary,
        module_loss=dict(
            type='CEModuleLoss',
            letter_case='lower',
            flatten=True,
            ignore_first_char=True,
            reduction='mean',
        ),
        postprocessor=dict(type='AttentionPostprocessor'),
    ),
)
