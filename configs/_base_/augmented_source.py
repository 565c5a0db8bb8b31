"""``two_domains.py`` with augmented source images, for print to scenes and the like.

    _base_ = [
        'mmocr::textrecog/aster/aster_resnet45_6e_st_mj.py',
        'mmocr_da::_base_/augmented_source.py',
    ]
    load_image, *others = _base_.train_pipeline
    train_dataloader = dict(
        **_base_.two_domain_loader,
        dataset=dict(
            **_base_.two_domain_dataset,
            source=_base_.train_list,
            pipeline=[load_image, _base_.text_augmentation, *others],
            target_pipeline=_base_.train_pipeline,
        ),
    )

and the four lines of ``iterations.py``, which this includes. Less of it:
``dict(_base_.text_augmentation, strength=0.5)``. Half of the images are inverted: where the target
has dark text alone, ``dict(_base_.text_augmentation, bright_text=0.0)``. A look at it:
``tools/analysis_tools/browse_views.py CONFIG``.
"""

_base_ = './two_domains.py'

text_augmentation = dict(type='mmocr_da.TextAugmentation', strength=1.0)
