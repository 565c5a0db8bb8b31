"""Every decoder whose characters objectives can use, as small as possible: 16 channels, 8 steps."""

import torch
from torch import nn

#: Decoders with a step per character, and their own options; None for those of ``recognizer_cfg``.
SAR = dict(d_model=16, d_enc=16, d_k=8)
DECODERS = {
    'ASTERDecoder': None,
    'mmocr_da.AttentionDecoder': None,
    'ParallelSARDecoder': dict(SAR, pred_concat=True),
    'ParallelSARDecoder(dec_gru=True)': dict(SAR, dec_gru=True),
    'SequentialSARDecoder': dict(SAR, pred_concat=True),
    'RobustScannerFuser': dict(
        hybrid_decoder=dict(type='SequenceAttentionDecoder', dim_input=16, dim_model=12),
        position_decoder=dict(type='PositionAttentionDecoder', dim_input=16, dim_model=12),
        in_channels=[16, 16],
    ),
    'NRTRDecoder': dict(
        n_layers=2,
        d_embedding=16,
        n_head=2,
        d_model=16,
        d_inner=20,
        d_k=8,
        d_v=8,
        n_position=20,
        dropout=0.0,
    ),
    'MasterDecoder': dict(
        n_layers=2, n_head=2, d_model=16, d_inner=20, feat_size=8, feat_pe_drop=0.0
    ),
}
#: Decoders that predict all characters in parallel.
VISION = dict(type='ABIVisionDecoder', in_channels=16, num_channels=8, attn_height=8, attn_width=16)
LANGUAGE = dict(
    type='ABILanguageDecoder', d_model=16, n_head=2, d_inner=20, n_layers=2, dropout=0.0
)
ABINET = {
    'ABIFuser': dict(vision_decoder=VISION, d_model=16),
    'ABIFuser(language)': dict(
        vision_decoder=VISION, language_decoder=LANGUAGE, d_model=16, num_iters=2
    ),
}
#: Encoders of decoders that do not decode a sequence; the others have that of ``recognizer_cfg``.
ENCODERS = {
    'ParallelSARDecoder': dict(type='SAREncoder', d_model=16, d_enc=16),
    'SequentialSARDecoder': dict(type='SAREncoder', d_model=16, d_enc=16),
    'RobustScannerFuser': dict(type='ChannelReductionEncoder', in_channels=16, out_channels=12),
    'MasterDecoder': None,
    'ABIFuser': dict(type='ABIEncoder', n_layers=1, n_head=2, d_model=16, d_inner=20, max_len=128),
}
STEPWISE = DECODERS | ABINET
BACKWARDS = 'ParallelSARDecoder(dec_bi_rnn=True)'
#: Those that are not in the matrix.
OTHERS = {
    BACKWARDS: dict(SAR, dec_bi_rnn=True),
    'SequentialSARDecoder(dec_gru=True)': dict(SAR, dec_gru=True),
    'ParallelSARDecoder(mask=False)': dict(SAR, mask=False),
    'RobustScannerFuser(encode_value=True)': dict(
        hybrid_decoder=dict(
            type='SequenceAttentionDecoder', dim_input=16, dim_model=12, encode_value=True
        ),
        position_decoder=dict(type='PositionAttentionDecoder', dim_input=16, dim_model=12),
        in_channels=[12, 16],
    ),
}
BACKBONE = dict(
    type='ResNet',
    in_channels=1,
    stem_channels=[8],
    block_cfgs=dict(type='BasicBlock', use_conv1x1=False),
    arch_layers=[1] * 4,
    arch_channels=[8, 8, 8, 16],
)
CTC = ['CRNNDecoder', 'CRNNDecoder(rnn_flag=True)', 'SVTRDecoder']
ISOLATED = 'mmocr_da.CharacterDecoder'


def class_of(kind):
    return kind.split('.')[-1].split('(')[0]


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0


def prepared(decoder):
    """Without dropout; in MASTER with the padding as unlikely as after training, because its mask
    is not causal there."""
    without_dropout(decoder)
    if type(decoder).__name__ == 'MasterDecoder':
        decoder.cls.bias.data[decoder.PAD] = -1e4
    return decoder


def inputs_of(decoder, count, width=8):
    """A feature map and, for the decoders that want one, the output of an encoder."""
    name = type(decoder).__name__
    height, width = (8, 16) if name == 'ABIFuser' else (1, width)
    feature_map = torch.randn(count, 16, height, width, dtype=next(decoder.parameters()).dtype)
    if 'SAR' in name:
        return feature_map, feature_map.mean((2, 3))
    if name == 'RobustScannerFuser':
        return feature_map, feature_map[:, :12]
    if name in {class_of(kind) for kind in DECODERS} - {'MasterDecoder'}:
        return feature_map, feature_map.squeeze(2).transpose(1, 2)
    return feature_map, feature_map if name in ('SVTRDecoder', 'ABIFuser') else None


def rows(x, index):
    return None if x is None else x[index]
