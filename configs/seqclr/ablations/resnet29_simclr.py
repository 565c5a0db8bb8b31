"""SimCLR at full size on the feature map of the backbone."""

_base_ = '../resnet29_seqclr-window.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:iam}}'

model = dict(
    representation='V',
    mapping=dict(_delete_=True, type='mmocr_da.AllToInstance'),
    projection=dict(
        type='mmocr_da.MLPProjection', in_channels=512, hidden_channels=512, out_channels=128
    ),
)
train_dataloader = dict(dataset=dict(pipeline=_base_.simclr_pipeline))
