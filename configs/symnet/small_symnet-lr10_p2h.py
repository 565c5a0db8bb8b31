"""SymNet with the classifiers' learning rate of section 4.1: ten times that of the features."""

_base_ = './small_symnet_p2h.py'

optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'decoder.fc': dict(lr_mult=10.0),
            'objectives': dict(lr_mult=10.0),
        }
    )
)
