"""What SymNet and its baselines share on the small recognizer."""

_base_ = '../assda/_base_small_adaptation.py'

train_cfg = dict(val_interval=100)
symnet = dict(type='mmocr_da.SymNetHead')
both_readings = dict(
    metrics=[
        dict(type='mmocr_da.TextErrorMetric'),
        dict(type='mmocr_da.TextErrorMetric', prediction='pred_text_source', prefix='C_s'),
        dict(type='mmocr_da.TextErrorMetric', prediction='pred_text_target', prefix='C_t'),
    ]
)
