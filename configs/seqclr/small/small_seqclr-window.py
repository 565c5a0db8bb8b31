"""SeqCLR with five windows per image, without labels; the decoder is not built."""

_base_ = '../../_base_/small_seqclr.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(
    type='mmocr_da.SeqCLR',
    mapping=dict(type='mmocr_da.WindowToInstance', num_windows=5),
    loss=dict(temperature=0.1),
)
train_dataloader = _base_.pretraining_dataloader
train_cfg = dict(max_iters=1500, val_interval=1500)
param_scheduler = _base_.pretraining_schedule
default_hooks = dict(checkpoint=dict(interval=500))
custom_hooks = _base_.pretraining_hooks
val_dataloader = val_cfg = val_evaluator = test_dataloader = test_cfg = test_evaluator = None
