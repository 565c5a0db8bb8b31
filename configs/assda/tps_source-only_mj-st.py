"""The recognizer of the paper, trained on MJSynth and SynthText (Algorithm 1, line 1)."""

_base_ = ['../_base_/models/tps_resnet_bilstm_attention.py', './_base_mj-st_to_iam.py']

optim_wrapper = dict(optimizer=dict(lr=1.0))
auto_scale_lr = dict(base_batch_size=192)
train_dataloader = dict(
    batch_size=192,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[_base_.mjsynth_textrecog_train, _base_.synthtext_textrecog_train],
        pipeline=_base_.train_pipeline,
    ),
)
