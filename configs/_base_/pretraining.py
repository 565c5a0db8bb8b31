"""SeqCLR's pre-training for MMOCR's own configs, on a folder of images without labels.

A config adds how its recognizer loads and resizes images; ``two_views`` comes last:

    _base_ = [
        'mmocr::textrecog/aster/aster_resnet45_6e_st_mj.py',
        'mmocr_da::_base_/pretraining.py',
    ]
    train_dataloader = dict(
        **_base_.pretraining_loader,
        dataset=dict(
            **_base_.pretraining_dataset,
            pipeline=[_base_.load_image, dict(type='Resize', scale=(256, 64)), _base_.two_views],
        ),
    )

and the four lines of ``iterations.py``, which this includes. Another folder:
``--cfg-options train_dataloader.dataset.datasets.img_dir=FOLDER``.
"""

_base_ = ['./datasets/seqclr_views.py', './iterations.py']

load_image = dict(type='LoadImageFromFile', ignore_empty=True, min_size=2)
two_views = dict(
    type='mmocr_da.MultiView',
    transforms=[
        _base_.seqclr_augmentation,
        dict(type='PackTextRecogInputs', meta_keys=('img_path', 'img_shape', 'valid_ratio')),
    ],
)
pretraining_loader = dict(
    batch_size=256, sampler=dict(_delete_=True, type='mmocr_da.SeededSampler', batch_size=256)
)
pretraining_dataset = dict(
    _delete_=True,
    type='mmocr_da.SeededDataset',
    datasets=dict(type='mmocr_da.UnlabelledDataset', img_dir='data/my_images', pipeline=None),
)
pretraining_hooks = [
    dict(type='mmocr_da.EncoderExportHook'),
    dict(type='mmocr_da.RepresentationHook'),
]
