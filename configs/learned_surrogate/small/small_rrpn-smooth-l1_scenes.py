"""The control: post-tuned by what it was trained with."""

_base_ = '../../_base_/small_rrpn.py'
