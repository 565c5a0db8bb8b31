"""ASSDA with batch norms that keep the statistics of source and target apart."""

_base_ = '../assda/small_assda_p2h.py'

model = dict(norm_statistics='per_domain')
