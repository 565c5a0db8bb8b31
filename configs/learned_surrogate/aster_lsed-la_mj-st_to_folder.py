"""LS-ED with local alignment on MMOCR's ASTER: synthetic words to a folder of images."""

_base_ = ['mmocr::textrecog/aster/aster_resnet45_6e_st_mj.py', '../_base_/two_domains.py']

# MMOCR's released weights, or your own: load_from = 'aster_resnet45_6e_st_mj.pth'
model = dict(
    type='mmocr_da.AdaptiveRecognizer',
    objectives=[
        dict(type='mmocr_da.LSEDLoss'),
        dict(type='mmocr_da.LocalAlignment', in_channels=512, weight=0.3),
    ],
)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    paramwise_cfg=dict(custom_keys={'objectives.lsed': dict(lr_mult=10.0)}),
)
train_dataloader = dict(
    **_base_.two_domain_loader,
    dataset=dict(
        **_base_.two_domain_dataset, source=_base_.train_list, pipeline=_base_.train_pipeline
    ),
)
auto_scale_lr = dict(base_batch_size=256)
train_cfg = _base_.iteration_loop
param_scheduler = []
default_hooks, log_processor = _base_.iteration_hooks, _base_.iteration_log
visualizer = _base_.iteration_curves
custom_hooks = [dict(type='mmocr_da.SurrogateExportHook'), dict(type='mmocr_da.SurrogateWatchHook')]
# In several processes: an iteration trains either the surrogate or the model.
find_unused_parameters = True
