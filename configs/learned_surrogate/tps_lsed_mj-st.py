"""The paper's TPS-ResNet-BiLSTM-Attn (table 2), tuned for 20,000 iterations on MJ and ST.

It is tested on the paper's sets, but for ICDAR'03, which MMOCR does not have.
"""

_base_ = [
    '../_base_/tps_mj-st.py',
    'mmocr::textrecog/_base_/datasets/iiit5k.py',
    'mmocr::textrecog/_base_/datasets/svt.py',
    'mmocr::textrecog/_base_/datasets/icdar2015.py',
    'mmocr::textrecog/_base_/datasets/svtp.py',
    'mmocr::textrecog/_base_/datasets/cute80.py',
]

load_from = 'work_dirs/tps_source-only_mj-st/iter_300000.pth'
model = dict(
    supervised_weight=0,  # the learned edit distance alone, as in the paper
    objectives=[dict(type='mmocr_da.LSEDLoss')],
)
# The surrogate is written to surrogate_iter_*.pth beside each checkpoint.
custom_hooks = [dict(type='mmocr_da.SurrogateExportHook'), dict(type='mmocr_da.SurrogateWatchHook')]
# In several processes: an iteration trains either the surrogate or the model.
find_unused_parameters = True
train_cfg = dict(max_iters=20000, val_interval=20001)
default_hooks = dict(checkpoint=dict(interval=5000))
# The paper names no learning rates: here AdaDelta's is 1 for both, as in the training before.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'objectives': dict(lr_mult=1.0)}))

test_dataloader = dict(
    dataset=dict(
        datasets=[
            _base_.iiit5k_textrecog_test,
            _base_.svt_textrecog_test,
            _base_.icdar2013_textrecog_test,
            _base_.icdar2015_textrecog_test,
            _base_.svtp_textrecog_test,
            _base_.cute80_textrecog_test,
        ]
    )
)
test_evaluator = dict(dataset_prefixes=['IIIT5K', 'SVT', 'IC13', 'IC15', 'SVTP', 'CUTE80'])
