"""RRPN at full size on ICDAR 2015 and 2017 (MLT), as in the paper: SGD, 140k images one by one."""

_base_ = '../_base_/rrpn_icdar.py'
