"""The recognizer and the losses of ASSDA's released code, so that its effect can be measured.

Start it from the same recognizer trained on the source with ``objectives=[]``.
"""

_base_ = ['../_base_/models/tps_resnet_bilstm_attention_published.py', './_base_mj-st_to_iam.py']

model = dict(
    objectives=[
        dict(type='mmocr_da.GlobalAlignment', in_channels=512 * 26, published=True),
        dict(type='mmocr_da.LocalAlignment', in_channels=256, threshold=0.1, published=True),
    ]
)
