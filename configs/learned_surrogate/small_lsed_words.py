"""LS-ED: the trained recognizer, tuned on the learned edit distance (local-global)."""

_base_ = ['./small_ce_words.py', './_base_lsed.py', './_base_small_surrogate.py']

model = {
    **_base_.lsed,
    'objectives': [dict(type='mmocr_da.LSEDLoss', surrogate=_base_.small_surrogate)],
}
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'objectives': dict(lr_mult=10.0)}))
