"""Batch-instance norm as the paper trains it: faster gates without weight decay, and their shares.

Add it to the bases of a config and take its ``gates`` into the optimizer's settings:

    _base_ = ['mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py', 'mmocr_da::_base_/gates.py']
    optim_wrapper = _base_.gates

A config with ``custom_hooks`` of its own adds ``_base_.gate_hook`` to them.
"""

# Learning rate x 10, weight decay x 0; other factors by
# paramwise_cfg=dict(gate_lr_mult=..., gate_decay_mult=...)
gates = dict(constructor='mmocr_da.BINGateOptimWrapperConstructor')
gate_hook = dict(type='mmocr_da.BINGateHook')
custom_hooks = [gate_hook]
