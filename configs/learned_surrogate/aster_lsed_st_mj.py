"""LS-ED on MMOCR's ASTER: 20,000 iterations after its training."""

_base_ = ['mmocr::textrecog/aster/aster_resnet45_6e_st_mj.py', '../_base_/iterations.py']

# MMOCR's released weights, or your own: load_from = 'aster_resnet45_6e_st_mj.pth'
model = dict(
    type='mmocr_da.AdaptiveRecognizer',
    supervised_weight=0,  # the learned edit distance alone, as in the paper
    objectives=[dict(type='mmocr_da.LSEDLoss')],
)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4), paramwise_cfg=dict(custom_keys={'objectives': dict(lr_mult=10.0)})
)
train_dataloader = dict(sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True))
train_cfg = _base_.iteration_loop
param_scheduler = []
default_hooks, log_processor = _base_.iteration_hooks, _base_.iteration_log
visualizer = _base_.iteration_curves
# The surrogate is written to surrogate_iter_*.pth beside each checkpoint.
custom_hooks = [dict(type='mmocr_da.SurrogateExportHook'), dict(type='mmocr_da.SurrogateWatchHook')]
# In several processes: an iteration trains either the surrogate or the model.
find_unused_parameters = True
