"""SimCLR on the feature map of the backbone, as in its paper with an MLP as projection head."""

_base_ = './small_simclr-contextual_numbers.py'

model = dict(
    representation='V',
    projection=dict(
        type='mmocr_da.MLPProjection', in_channels=128, hidden_channels=128, out_channels=128
    ),
)
