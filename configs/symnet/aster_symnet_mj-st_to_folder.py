"""SymNet on MMOCR's own ASTER config: synthetic words to a folder of images without labels."""

_base_ = '../assda/aster_assda_mj-st_to_folder.py'

model = dict(objectives=[dict(type='mmocr_da.SymNetHead')])
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'decoder.fc': dict(lr_mult=10.0),
            'objectives': dict(lr_mult=10.0),
        }
    )
)
param_scheduler = [dict(type='mmocr_da.InverseDecayLR', by_epoch=False)]
val_evaluator = dict(
    metrics=[
        *_base_.val_evaluator.metrics,
        dict(type='mmocr_da.TextErrorMetric', prediction='pred_text_source', prefix='C_s'),
        dict(type='mmocr_da.TextErrorMetric', prediction='pred_text_target', prefix='C_t'),
    ]
)
test_evaluator = val_evaluator
