"""Batches of the target alone for MMOCR's own configs: a checkpoint, and a folder without labels.

    _base_ = [
        'mmocr::textrecog/aster/aster_resnet45_6e_st_mj.py',
        'mmocr_da::_base_/target_only.py',
    ]
    train_dataloader = dict(
        **_base_.target_only_loader,
        dataset=dict(**_base_.target_only_dataset, target_pipeline=_base_.train_pipeline),
    )

and the four lines of ``iterations.py``, which this includes. The model is a
``mmocr_da.AdaptiveRecognizer`` with ``supervised_weight=0`` and objectives that need no source,
such as ``mmocr_da.SelfTraining``; ``load_from`` is the checkpoint. Another folder:
``--cfg-options train_dataloader.dataset.target.img_dir=FOLDER``.
"""

_base_ = './two_domains.py'

target_only_loader = dict(
    batch_size=128,
    sampler=dict(_delete_=True, type='mmocr_da.TwoDomainSampler', batch_size=128, ratio=(0, 1)),
)
target_only_dataset = dict(**_base_.two_domain_dataset, source=None)
