"""ResNet-14 with batch norm."""

_base_ = '../../_base_/characters.py'

model = dict(backbone=dict(arch_layers=[2, 2, 2]))
