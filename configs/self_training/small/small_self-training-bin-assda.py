"""Self-training with the two alignments of ASSDA beside it, with batch-instance norm."""

_base_ = ['../../_base_/small_augmented.py', '../../_base_/gates.py']
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

load_from = (
    f'work_dirs/small_augmented-bin-source-only_{_base_.data}/iter_{_base_.source_iters}.pth'
)
model = dict(
    type='mmocr_da.WithBIN',
    of='mmocr_da.AdaptiveRecognizer',
    objectives=[_base_.self_training, _base_.global_alignment, _base_.local_alignment],
)
optim_wrapper = _base_.gates
train_dataloader = dict(dataset=dict(target_pipeline=_base_.views_pipeline))
