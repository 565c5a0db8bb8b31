"""The encoder of ``bilstm_ctc_small.py`` with an attention decoder."""

_base_ = './bilstm_ctc_small.py'

dictionary = {**_base_.dictionary, 'with_start': True, 'with_end': True, 'same_start_end': True}

model = dict(
    encoder=dict(as_map=False),
    decoder=dict(
        _delete_=True,
        type='ASTERDecoder',
        in_channels=128,
        emb_dims=128,
        attn_dims=128,
        hidden_size=128,
        max_seq_len=25,
        dictionary=dictionary,
        module_loss=dict(
            type='CEModuleLoss',
            letter_case='lower',
            flatten=True,
            ignore_first_char=True,
            reduction='mean',
        ),
        postprocessor=dict(type='AttentionPostprocessor'),
    ),
)
