"""The control: post-tuned by what it was trained with."""

_base_ = './_base_small_tuning.py'
