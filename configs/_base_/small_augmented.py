"""``small_adaptation.py`` for real images: all are standardized, and those to learn are augmented.

* Every image gets the same mean and deviation, in training and testing alike (``standardized.py``).
* The images of both domains are augmented alike (``mmocr_da.TextAugmentation``): if they were not,
  an objective that compares the domains would tell them apart by the augmentation. As much text is
  brighter than its background as in the target: of numbers none, of words half, or
  MMOCR_DA_BRIGHT_TEXT (``mmocr_da.datasets.polarity.bright_text_share`` measures it).
* For self-training a target image gives two views: a clean one for the teacher, and the augmented
  one for the recognizer (``mmocr_da.WeakStrongViews``).

The source-only recognizer, from which every adaptation starts, is trained in the same way:
self_training/small/small_augmented-source-only.py. MMOCR_DA_SOURCE_ITERS is its length: of a source
of few words, a CTC recognizer needs more than 1,200 iterations to leave its first plateau, a loss
of 3.
"""

_base_ = ['./small_adaptation.py', './standardized.py']

bright_text = 0.0 if _base_.data == 'numbers' else float('{{$MMOCR_DA_BRIGHT_TEXT:0.5}}')
text_augmentation = dict(type='mmocr_da.TextAugmentation', strength=1.0, bright_text=bright_text)
_load, _label, _resize, _pack = _base_.train_pipeline
_prepare = [_resize, _base_.standardize, _pack]
clean_pipeline = [_load, _label, *_prepare]
augmented_pipeline = [_load, text_augmentation, _label, *_prepare]
views_pipeline = [
    _load,
    _label,
    dict(type='mmocr_da.WeakStrongViews', weak=_prepare, strong=[text_augmentation, *_prepare]),
]
test_pipeline = [*_base_.test_pipeline[:-1], _base_.standardize, _pack]

source_iters = int('{{$MMOCR_DA_SOURCE_ITERS:1200}}')
max_iters = 1600 if _base_.data == 'numbers' else 600
load_from = f'work_dirs/small_augmented-source-only_{_base_.data}/iter_{source_iters}.pth'
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 2)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[max_iters * 7 // 10], gamma=0.1)
]
default_hooks = dict(checkpoint=dict(interval=max_iters // 2))
model = dict(channels_last=True)

source_dataloader = dict(dataset=dict(pipeline=augmented_pipeline))
train_dataloader = dict(dataset=dict(pipeline=augmented_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

self_training = dict(
    type='mmocr_da.SelfTraining',
    keep=dict(type='mmocr_da.ConfidenceQuantile', start=0.2, end=0.6),
    length_normalized=True,
    average='all',
    decay=0.99,
    ramp=max_iters // 10,
)
