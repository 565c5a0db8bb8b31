"""What adaptation is compared with: as many further steps on the source, without the target."""

_base_ = './words_source-only.py'

load_from = 'work_dirs/words_source-only/iter_2000.pth'
train_cfg = dict(max_iters=300, val_interval=100)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[210], gamma=0.1)]
