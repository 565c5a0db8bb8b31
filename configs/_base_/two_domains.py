"""Batches of both domains for MMOCR's own configs: its training data, and a folder without labels.

    _base_ = [
        'mmocr::textrecog/aster/aster_resnet45_6e_st_mj.py',
        'mmocr_da::_base_/two_domains.py',
    ]
    train_dataloader = dict(
        **_base_.two_domain_loader,
        dataset=dict(
            **_base_.two_domain_dataset, source=_base_.train_list, pipeline=_base_.train_pipeline
        ),
    )

and the four lines of ``iterations.py``, which this includes. Another folder:
``--cfg-options train_dataloader.dataset.target.img_dir=FOLDER``.
"""

_base_ = './iterations.py'

two_domain_loader = dict(
    batch_size=256,  # 128 source + 128 target
    sampler=dict(_delete_=True, type='mmocr_da.TwoDomainSampler', batch_size=256),
)
two_domain_dataset = dict(
    _delete_=True,
    type='mmocr_da.TwoDomainDataset',
    target=dict(type='mmocr_da.UnlabelledDataset', img_dir='data/my_images', pipeline=None),
)
