"""SeqCLR at full size with one instance per image, the mean of its frames."""

_base_ = '../resnet29_seqclr-window.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:iam}}'

model = dict(mapping=dict(_delete_=True, type='mmocr_da.AllToInstance'))
