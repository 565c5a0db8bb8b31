"""``two_domains.py`` with augmentation and self-training on a folder without labels.

Beside it, the alignments of ASSDA if they are among the objectives, such as
``dict(_base_.global_alignment, in_channels=512)`` with the width of the feature map.

    _base_ = [
        'mmocr::textrecog/aster/aster_resnet45_6e_st_mj.py',
        'mmocr_da::_base_/self_training.py',
    ]
    model = dict(type='mmocr_da.AdaptiveRecognizer', objectives=[_base_.self_training])
    load, prepare = _base_.train_pipeline[:2], _base_.train_pipeline[2:]
    views = dict(
        type='mmocr_da.WeakStrongViews', weak=prepare, strong=[_base_.text_augmentation, *prepare]
    )
    train_dataloader = dict(
        **_base_.two_domain_loader,
        dataset=dict(
            **_base_.two_domain_dataset,
            source=_base_.train_list,
            pipeline=[*load, _base_.text_augmentation, *prepare],
            target_pipeline=[*load, views],
        ),
    )

and the four lines of ``iterations.py``, which this includes. The teacher sees images as in testing,
the student sees augmented ones, half of them inverted: where the target has dark text alone, use
``dict(_base_.text_augmentation, bright_text=0.0)``. ``tools/adapt.py`` writes such a config for any
recognizer, and measures ``bright_text``.
"""

_base_ = './two_domains.py'

# Of the images of both domains, as in augmented_source.py.
text_augmentation = dict(type='mmocr_da.TextAugmentation', strength=1.0)

# The mean is over all target images: while few of them are learned, the source counts more.
self_training = dict(
    type='mmocr_da.SelfTraining',
    keep=dict(type='mmocr_da.ConfidenceQuantile', start=0.2, end=0.6),
    length_normalized=True,
    average='all',
    decay=0.99,
    ramp=200,
)
global_alignment = dict(
    type='mmocr_da.GlobalAlignment', pooling='position', weight=0.3, schedule='rising'
)
local_alignment = dict(type='mmocr_da.LocalAlignment', weight=0.6, schedule='rising', threshold=0.5)
# Adversaries that keep up with the features: they learn five times as fast.
fast_adversaries = dict(custom_keys={'objectives': dict(lr_mult=5.0)})
