"""Self-training of MMOCR's CRNN on a folder of images without labels, without source data."""

_base_ = ['mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py', '../_base_/target_only.py']

# MMOCR's released weights, or your own: load_from = 'crnn_mini-vgg_5e_mj.pth'
model = dict(
    type='mmocr_da.AdaptiveRecognizer',
    supervised_weight=0,
    # A text that is longer than the 25 positions has no alignment.
    decoder=dict(module_loss=dict(zero_infinity=True)),
    objectives=[
        dict(
            type='mmocr_da.SelfTraining',
            keep=dict(type='mmocr_da.ConfidenceQuantile', start=0.2, end=0.6),
            length_normalized=True,
            average='all',
            decay=0.999,
            ramp=2000,
        ),
        dict(type='mmocr_da.L2SP'),
    ],
)
custom_hooks = [dict(type='mmocr_da.AdaBNHook')]
optim_wrapper = dict(optimizer=dict(lr=0.1))
load_image, load_text, resize, pack = _base_.train_pipeline
views = dict(
    type='mmocr_da.WeakStrongViews',
    weak=[resize, pack],
    strong=[dict(type='mmocr_da.TextAugmentation', strength=0.5), resize, pack],
)
train_dataloader = dict(
    **_base_.target_only_loader,
    dataset=dict(**_base_.target_only_dataset, target_pipeline=[load_image, load_text, views]),
)
auto_scale_lr = dict(base_batch_size=128)
train_cfg = _base_.iteration_loop
param_scheduler = []
default_hooks, log_processor = _base_.iteration_hooks, _base_.iteration_log
visualizer = _base_.iteration_curves
