"""An attention decoder of lower-case letters and digits for small recognizers.

It takes the place of CTC's in a recognizer with a feature map of 128 channels and one row:
``model = dict(encoder=..., decoder=_base_.attention_decoder)``.
"""

attention_decoder = dict(
    _delete_=True,
    type='ASTERDecoder',
    in_channels=128,
    emb_dims=128,
    attn_dims=128,
    hidden_size=128,
    max_seq_len=25,
    dictionary=dict(
        type='Dictionary',
        dict_file='{{ fileDirname }}/../dicts/lower_english_digits.txt',
        with_start=True,
        with_end=True,
        same_start_end=True,
        with_padding=True,
        # Characters of a label that it does not have are skipped.
        with_unknown=True,
        unknown_token=None,
    ),
    module_loss=dict(
        type='CEModuleLoss',
        letter_case='lower',
        flatten=True,
        ignore_first_char=True,
        reduction='mean',
    ),
    postprocessor=dict(type='AttentionPostprocessor'),
)
