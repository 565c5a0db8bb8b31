"""Registries of the parts of MMOCR's dataset preparer."""

from mmengine.registry import Registry
from mmocr.registry import DATA_OBTAINERS as MMOCR_DATA_OBTAINERS
from mmocr.registry import DATA_PARSERS as MMOCR_DATA_PARSERS

# MMOCR's preparer looks in its own registries, which have no parent: these are their children.
DATA_OBTAINERS, DATA_PARSERS = (
    Registry(parent.name, parent=parent, scope='mmocr_da', locations=[__package__])
    for parent in (MMOCR_DATA_OBTAINERS, MMOCR_DATA_PARSERS)
)
