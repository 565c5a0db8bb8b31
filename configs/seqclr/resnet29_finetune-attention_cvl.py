"""Fine-tuning of the pre-trained encoder on 5 % of the labels of CVL, with attention."""

_base_ = [
    '../_base_/models/tps_resnet_bilstm_attention_cased.py',
    './_base_paper_supervised_cvl.py',
]

load_from = 'work_dirs/resnet29_window_cvl/encoder_iter_200000.pth'
