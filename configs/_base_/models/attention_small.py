"""A CNN-BiLSTM-attention recognizer of 0.9 M parameters for 16 x 64 grey images; trains on a CPU.

MMOCR's parts in a small size. Without objectives it is a plain recognizer.
"""

dictionary = dict(
    type='Dictionary',
    dict_file='{{ fileDirname }}/../dicts/digits.txt',
    with_start=True,
    with_end=True,
    same_start_end=True,
    with_padding=True,
    with_unknown=False,
)

model = dict(
    type='mmocr_da.AdaptiveRecognizer',
    channels_last=True,
    data_preprocessor=dict(type='TextRecogDataPreprocessor', mean=[127.5], std=[127.5]),
    backbone=dict(
        type='ResNet',
        in_channels=1,
        stem_channels=[16],
        block_cfgs=dict(type='BasicBlock', use_conv1x1=False),
        arch_layers=[1, 1, 1, 1],
        arch_channels=[32, 64, 128, 128],
        strides=[(2, 2), (2, 2), (2, 1), (2, 1)],
    ),  # 16 x 64 -> 1 x 16
    encoder=dict(type='ASTEREncoder', in_channels=128),
    decoder=dict(
        type='ASTERDecoder',
        in_channels=128,
        emb_dims=128,
        attn_dims=128,
        hidden_size=128,
        max_seq_len=25,
        dictionary=dictionary,
        module_loss=dict(
            type='CEModuleLoss', flatten=True, ignore_first_char=True, reduction='mean'
        ),
        postprocessor=dict(type='AttentionPostprocessor'),
    ),
)

train_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='LoadOCRAnnotations', with_text=True),
    dict(type='Resize', scale=(64, 16)),
    dict(
        type='PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'valid_ratio')
    ),
]
test_pipeline = train_pipeline
