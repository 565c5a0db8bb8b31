"""Self-training: a teacher's confident words are the labels of the target."""

_base_ = ['../../_base_/small_adaptation.py', '../../_base_/datasets/seqclr_views.py']
work_dir = 'work_dirs/{{ fileBasenameNoExtension }}_{{$MMOCR_DA_DATA:numbers}}'

model = dict(objectives=[dict(type='mmocr_da.SelfTraining', threshold=0.5, decay=0.99, ramp=100)])
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))  # there is no adversary
load_image, load_text, resize, pack = _base_.train_pipeline
views = dict(
    type='mmocr_da.WeakStrongViews',
    weak=[resize, pack],
    strong=[_base_.seqclr_augmentation, resize, pack],
)
train_dataloader = dict(dataset=dict(target_pipeline=[load_image, load_text, views]))
