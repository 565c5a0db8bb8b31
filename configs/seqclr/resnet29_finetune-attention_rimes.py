"""Fine-tuning of the pre-trained encoder on 5 % of the labels of RIMES, with attention."""

_base_ = [
    '../_base_/models/tps_resnet_bilstm_attention_cased.py',
    './_base_paper_supervised_rimes.py',
]

load_from = 'work_dirs/resnet29_window_rimes/encoder_iter_200000.pth'
french = '{{ fileDirname }}/../_base_/dicts/french.txt'
model = dict(decoder=dict(dictionary=dict(dict_file=french)))
