"""SimCLR at full size on the feature map of the backbone, on IAM."""

_base_ = './resnet29_simclr-contextual_iam.py'

model = dict(
    representation='V',
    projection=dict(
        type='mmocr_da.MLPProjection', in_channels=512, hidden_channels=512, out_channels=128
    ),
)
