"""GA: the global alignment of ASSDA."""
_base_ = './_base_words_adaptation.py'

model = dict(objectives=[
    dict(type='mmocr_da.GlobalAlignment', in_channels=128, pooling='position', weight=0.3)
])
# As in configs/assda.
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(_delete_=True, objectives=dict(lr_mult=5.0))))
