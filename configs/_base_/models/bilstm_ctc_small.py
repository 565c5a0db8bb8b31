"""CNN, BiLSTM encoder and a CTC classifier for 32 x 100 grey images, 0.9 M parameters.

The encoder and its names are those of ``bilstm_attention_small.py``: what is trained with one is
loaded by the other.
"""

_base_ = './ctc_small.py'

model = dict(
    type='mmocr_da.AdaptiveRecognizer',  # without objectives a plain recognizer
    channels_last=True,
    encoder=dict(
        type='mmocr_da.BiLSTMEncoder',
        in_channels=128,
        hidden_size=64,
        out_channels=128,
        as_map=True,
    ),
    decoder=dict(
        _delete_=True,
        type='SVTRDecoder',  # a linear layer on the sequence
        in_channels=128,
        dictionary=_base_.dictionary,
        # A text that is longer than the 25 positions has no alignment.
        module_loss=dict(type='CTCModuleLoss', letter_case='lower', zero_infinity=True),
        postprocessor=dict(type='CTCPostProcessor'),
    ),
)
