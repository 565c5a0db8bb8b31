"""ASSDA with batch-instance norms that keep the statistics of source and target apart."""

_base_ = './small_bin-assda_p2h.py'

model = dict(norm_statistics='per_domain')
