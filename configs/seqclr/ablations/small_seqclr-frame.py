"""SeqCLR with an instance per frame, and the MLP as projection head that fits it (Table 4)."""

_base_ = '../small/small_seqclr-window.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(
    mapping=dict(_delete_=True, type='mmocr_da.FrameToInstance'),
    projection=dict(
        type='mmocr_da.MLPProjection', in_channels=128, hidden_channels=128, out_channels=128
    ),
)
