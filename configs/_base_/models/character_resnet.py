"""ResNet-8 for 32 x 32 characters, 0.08 M parameters: three stages of one block, 16, 32, 64 wide.

``arch_layers=[2, 2, 2]`` is ResNet-14, ``[3, 3, 3]`` ResNet-20.
"""

dictionary = dict(
    type='Dictionary', dict_file='{{ fileDirname }}/../dicts/lower_english_digits.txt'
)

model = dict(
    type='EncoderDecoderRecognizer',
    data_preprocessor=dict(
        type='TextRecogDataPreprocessor', mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]
    ),
    backbone=dict(
        type='ResNet',
        in_channels=3,
        stem_channels=[16],
        block_cfgs=dict(type='BasicBlock', use_conv1x1=False),
        arch_layers=[1, 1, 1],
        arch_channels=[16, 32, 64],
        strides=[1, 2, 2],
    ),
    decoder=dict(
        type='mmocr_da.CharacterDecoder',
        in_channels=64,
        dictionary=dictionary,
        # The dictionary has characters alone: nothing to pad with, nothing to ignore.
        module_loss=dict(
            type='CEModuleLoss',
            letter_case='lower',
            pad_with='none',
            ignore_char=-1,
            flatten=True,
            reduction='mean',
        ),
        postprocessor=dict(type='AttentionPostprocessor', ignore_chars=[]),
    ),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadOCRAnnotations', with_text=True),
    dict(type='Resize', scale=(32, 32)),
    dict(
        type='PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'valid_ratio')
    ),
]
test_pipeline = train_pipeline
