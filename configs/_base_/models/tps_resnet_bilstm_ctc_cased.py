"""The encoder of ``tps_resnet_bilstm_attention_cased.py`` with a CTC classifier."""

_base_ = './tps_resnet_bilstm_attention_cased.py'

ctc_dictionary = dict(
    type='Dictionary',
    dict_file=_base_.dictionary.dict_file,
    with_padding=True,  # CTC's blank
    with_unknown=True,
)

model = dict(
    encoder=dict(as_map=True),
    decoder=dict(
        _delete_=True,
        type='SVTRDecoder',  # a linear layer on the sequence
        in_channels=256,
        dictionary=ctc_dictionary,
        # A text that is longer than the 26 positions has no alignment.
        module_loss=dict(type='CTCModuleLoss', letter_case='unchanged', zero_infinity=True),
        postprocessor=dict(type='CTCPostProcessor'),
    ),
)
