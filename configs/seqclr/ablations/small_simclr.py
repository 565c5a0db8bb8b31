"""SimCLR on the feature map of the backbone, as in its paper with an MLP as projection head."""

_base_ = '../small/small_seqclr-window.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(
    representation='V',
    mapping=dict(_delete_=True, type='mmocr_da.AllToInstance'),
    projection=dict(
        type='mmocr_da.MLPProjection', in_channels=128, hidden_channels=128, out_channels=128
    ),
)
train_dataloader = dict(dataset=dict(pipeline=_base_.simclr_pipeline))
