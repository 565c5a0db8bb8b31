"""ResNet-8 with batch norm: what BIN is compared with."""

_base_ = '../../_base_/characters.py'
