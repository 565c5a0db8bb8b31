"""Self-training of MMOCR's CRNN: synthetic words to a folder of images without labels."""

_base_ = ['mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py', '../_base_/self_training.py']

# MMOCR's released weights, or your own: load_from = 'crnn_mini-vgg_5e_mj.pth'
model = dict(
    type='mmocr_da.AdaptiveRecognizer',
    # A text that is longer than the 25 positions has no alignment.
    decoder=dict(module_loss=dict(zero_infinity=True)),
    objectives=[dict(_base_.self_training, decay=0.999, ramp=2000)],
)
optim_wrapper = dict(optimizer=dict(lr=0.1))
load_image, load_text, resize, pack = _base_.train_pipeline
views = dict(
    type='mmocr_da.WeakStrongViews',
    weak=[resize, pack],
    strong=[_base_.text_augmentation, resize, pack],
)
train_dataloader = dict(
    **_base_.two_domain_loader,
    dataset=dict(
        **_base_.two_domain_dataset,
        source=_base_.train_list,
        pipeline=[load_image, load_text, _base_.text_augmentation, resize, pack],
        target_pipeline=[load_image, load_text, views],
    ),
)
auto_scale_lr = dict(base_batch_size=256)
train_cfg = _base_.iteration_loop
param_scheduler = []
default_hooks, log_processor = _base_.iteration_hooks, _base_.iteration_log
visualizer = _base_.iteration_curves
