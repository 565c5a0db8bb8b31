"""Fine-tuning of the pre-trained encoder on all labels of SynthText, with CTC."""

_base_ = [
    '../_base_/models/tps_resnet_bilstm_ctc_cased.py',
    './_base_paper_supervised_synthtext.py',
]

load_from = 'work_dirs/resnet29_window_synthtext/encoder_iter_400000.pth'
