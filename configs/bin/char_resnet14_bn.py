"""ResNet-14 with batch norm."""

_base_ = './char_resnet8_bn.py'

model = dict(backbone=dict(arch_layers=[2, 2, 2]))
