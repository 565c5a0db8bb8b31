"""ASSDA's recognizer as in its released code (clovaai's TRBA): 1, 2, 5, 3 blocks, a 1 x 26 map."""

_base_ = './tps_resnet_bilstm_attention.py'

model = dict(
    backbone=dict(
        arch_layers=[1, 2, 5, 3],
        plugins=[
            dict(
                cfg=dict(type='Maxpool2d', kernel_size=2, stride=2),
                stages=(True, True, False, False),
                position='before_stage',
            ),
            dict(
                cfg=dict(type='Maxpool2d', kernel_size=2, stride=(2, 1), padding=(0, 1)),
                stages=(False, False, True, False),
                position='before_stage',
            ),
            _base_.model.backbone.plugins[2],
        ],
        tail=[  # 32 x 100 -> 1 x 26
            dict(out_channels=512, kernel_size=2, stride=(2, 1), padding=(0, 1)),
            dict(out_channels=512, kernel_size=2),
        ],
    ),
    encoder=dict(in_channels=512),
    decoder=dict(emb_dims=256, attn_dims=256, hidden_size=256, cell='lstm', readout='hidden'),
)
