"""SeqCLR with one instance per image, the mean of its frames."""

_base_ = '../small/small_seqclr-window.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(mapping=dict(_delete_=True, type='mmocr_da.AllToInstance'))
