"""A small attention recognizer on printed numbers; read are printed and handwritten ones."""
_base_ = [
    '../_base_/datasets/printed_to_handwritten.py', '../_base_/models/attention_small.py',
    '../_base_/datasets/seqclr_views.py', '../_base_/schedules/adam_small.py',
    '../_base_/default_runtime.py'
]

load_image, load_text, resize, pack = _base_.train_pipeline

auto_scale_lr = dict(base_batch_size=64)
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='mmocr_da.SeededSampler', batch_size=64),
    # Without augmentation all training images are read right soon: no error is left to learn from.
    dataset=dict(
        type='mmocr_da.SeededDataset',
        datasets=_base_.p2h_source_train,
        pipeline=[load_image, load_text, resize, _base_.seqclr_augmentation, pack]))
# Printed first, then handwritten: the order of the evaluator's dataset_prefixes.
val_dataloader = dict(
    batch_size=250,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ConcatDataset',
        datasets=[_base_.p2h_source_test, _base_.p2h_target_val],
        pipeline=_base_.test_pipeline))
test_dataloader = {
    **val_dataloader, 'dataset': {
        **val_dataloader['dataset'], 'datasets': [_base_.p2h_source_test, _base_.p2h_target_test]
    }
}
