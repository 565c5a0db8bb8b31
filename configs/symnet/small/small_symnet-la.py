"""SymNet and the local alignment of ASSDA: two ways to align single characters, together."""

_base_ = '../../_base_/small_adaptation.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

symnet = dict(type='mmocr_da.SymNetHead', weight=_base_.objective_weight)
model = dict(objectives=[symnet, _base_.local_alignment])
# C^t learns as fast as C^s, the discriminator five times as fast.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'objectives.symnet': dict(lr_mult=1.0)}))
