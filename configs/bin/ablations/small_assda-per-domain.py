"""ASSDA with batch norms that keep the statistics of source and target apart."""

_base_ = '../../_base_/small_adaptation.py'
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(
    norm_statistics='per_domain', objectives=[_base_.global_alignment, _base_.local_alignment]
)
