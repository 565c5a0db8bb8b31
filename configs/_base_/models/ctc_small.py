"""A CTC recognizer of 0.6 M parameters for 32 x 100 grey images; trains on a CPU.

It reads letters and digits without their case: other characters of a label are passed over.
"""

dictionary = dict(
    type='Dictionary',
    dict_file='{{ fileDirname }}/../dicts/lower_english_digits.txt',
    with_padding=True,  # CTC's blank
    with_unknown=True,
    unknown_token=None,
)

model = dict(
    type='EncoderDecoderRecognizer',
    data_preprocessor=dict(type='TextRecogDataPreprocessor', mean=[127.5], std=[127.5]),
    backbone=dict(
        type='ResNet',
        in_channels=1,
        stem_channels=[16],
        block_cfgs=dict(type='BasicBlock', use_conv1x1=False),
        arch_layers=[1, 1, 1, 1, 1],
        arch_channels=[16, 32, 64, 128, 128],
        strides=[(2, 2), (2, 2), (2, 1), (2, 1), (2, 1)],
    ),  # 32 x 100 -> 1 x 25
    decoder=dict(
        type='CRNNDecoder',
        in_channels=128,
        rnn_flag=False,
        dictionary=dictionary,
        # A text that is longer than the 25 positions has no alignment.
        module_loss=dict(type='CTCModuleLoss', letter_case='lower', zero_infinity=True),
        postprocessor=dict(type='CTCPostProcessor'),
    ),
)

train_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale', ignore_empty=True, min_size=2),
    dict(type='LoadOCRAnnotations', with_text=True),
    dict(type='Resize', scale=(100, 32)),
    dict(
        type='PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'valid_ratio')
    ),
]
test_pipeline = [dict(type='LoadImageFromFile', color_type='grayscale'), *train_pipeline[1:]]
