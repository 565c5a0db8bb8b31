"""SeqCLR at full size with one instance per image, the mean of its frames, on IAM."""

_base_ = './resnet29_window_iam.py'

model = dict(mapping=dict(_delete_=True, type='mmocr_da.AllToInstance'))
