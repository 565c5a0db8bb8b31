"""A source that is made, where there is none: words drawn in the recognizer's alphabet.

    _base_ = [
        'mmocr::textrecog/aster/aster_resnet45_6e_st_mj.py',
        'mmocr_da::_base_/two_domains.py',
        'mmocr_da::_base_/rendered_words.py',
    ]
    train_dataloader = dict(
        **_base_.two_domain_loader,
        dataset=dict(
            **_base_.two_domain_dataset,
            source=dict(**_base_.rendered_words, dict_file=_base_.dictionary.dict_file),
            pipeline=_base_.train_pipeline,
        ),
    )

and the four lines of ``iterations.py``, as in ``two_domains.py``. It draws random
strings. With words of the target's language, one per line of a file, the recognizer also learns
which characters follow each other: ``train_dataloader.dataset.source.lexicon=FILE`` after
``--cfg-options``, and ``train_dataloader.dataset.source.fonts=FOLDER`` for other fonts.
"""

rendered_words = dict(type='mmocr_da.RenderedWords', num_images=200_000)
