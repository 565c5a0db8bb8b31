"""SimCLR at full size on the sequence of the encoder."""

_base_ = '../resnet29_seqclr-window.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:iam}}'

model = dict(mapping=dict(_delete_=True, type='mmocr_da.AllToInstance'))
train_dataloader = dict(dataset=dict(pipeline=_base_.simclr_pipeline))
