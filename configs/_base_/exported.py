"""What training needs and an exported config does not have; ``tools/adapt.py`` adds it.

_base_ = ['exported/crnn_mini-vgg_5e_mj.py', 'mmocr_da::_base_/exported.py']
"""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.01))
param_scheduler = []
train_cfg = dict(type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=2000)
train_dataloader = dict(
    sampler=dict(type='mmocr_da.TwoDomainSampler'), dataset=dict(type='mmocr_da.TwoDomainDataset')
)
