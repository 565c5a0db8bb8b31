"""GA: the global alignment of ASSDA."""

_base_ = './_base_words_adaptation.py'

model = dict(
    objectives=[
        dict(type='mmocr_da.GlobalAlignment', in_channels=128, pooling='position', weight=0.3)
    ]
)
