"""ASSDA at full size: synthetic scene words to unlabelled handwritten words."""

_base_ = ['../_base_/models/tps_resnet_bilstm_attention.py', './_base_mj-st_to_iam.py']

load_from = 'work_dirs/tps_source-only_mj-st/iter_300000.pth'
model = dict(
    objectives=[
        dict(type='mmocr_da.GlobalAlignment', in_channels=64, pooling='position', weight=0.1),
        dict(type='mmocr_da.LocalAlignment', in_channels=256, weight=0.3, threshold=0.4),
    ]
)
