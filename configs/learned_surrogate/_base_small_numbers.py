"""A small attention recognizer on printed numbers; read are printed and handwritten ones."""

_base_ = ['../assda/_base_small_p2h.py', '../_base_/datasets/seqclr_views.py']

load_image, load_text, resize, pack = _base_.train_pipeline

auto_scale_lr = dict(base_batch_size=64)
train_dataloader = dict(
    batch_size=64,
    sampler=dict(_delete_=True, type='mmocr_da.SeededSampler', batch_size=64),
    # Without augmentation all training images are read right soon: no error is left to learn from.
    dataset=dict(
        _delete_=True,
        type='mmocr_da.SeededDataset',
        datasets=_base_.p2h_source_train,
        pipeline=[load_image, load_text, resize, _base_.seqclr_augmentation, pack],
    ),
)
