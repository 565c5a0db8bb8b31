"""LS-ED beside cross-entropy: in its turns, the recognizer learns from both."""

_base_ = './small_lsed_words.py'

model = dict(supervised_weight=1)
