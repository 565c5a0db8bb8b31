"""SimCLR on the sequence of the encoder: its augmentations, one instance per image."""

_base_ = '../small/small_seqclr-window.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(mapping=dict(_delete_=True, type='mmocr_da.AllToInstance'))
train_dataloader = dict(dataset=dict(pipeline=_base_.simclr_pipeline))
