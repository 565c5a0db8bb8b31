"""What adaptation is compared with: as many further steps on the source, without the target."""

_base_ = './small_source-only_p2h.py'

load_from = 'work_dirs/small_source-only_p2h/iter_400.pth'
train_cfg = dict(max_iters=800, val_interval=400)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[560], gamma=0.1)]
