"""Words of a folder with batch norm: what BIN is compared with."""

_base_ = '../../_base_/small_words.py'
