"""ASSDA on MMOCR's SATRN: synthetic words to a folder of images without labels."""

_base_ = ['mmocr::textrecog/satrn/satrn_shallow-small_5e_st_mj.py', '../_base_/two_domains.py']

# MMOCR's released weights, or your own: load_from = 'satrn_shallow-small_5e_st_mj.pth'
model = dict(
    type='mmocr_da.AdaptiveRecognizer',
    # The backbone has 3 % of the weights, backbone and encoder have 46 %.
    objectives=[
        dict(
            type='mmocr_da.GlobalAlignment',
            in_channels=256,
            level='encoder',
            pooling='position',
            weight=0.1,
        ),
        dict(type='mmocr_da.LocalAlignment', in_channels=256, weight=0.3, threshold=0.5),
    ],
)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
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
