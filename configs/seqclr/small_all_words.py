"""SeqCLR with one instance per image, the mean of its frames."""

_base_ = './small_window_words.py'

model = dict(mapping=dict(_delete_=True, type='mmocr_da.AllToInstance'))
