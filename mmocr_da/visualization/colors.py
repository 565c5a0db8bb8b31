"""Colours that people with any kind of colour vision can tell apart."""

from mmocr_da.domains import DOMAINS

#: Okabe & Ito, "Color Universal Design" (2008), without the yellow, which is faint on white.
COLORS = ('#0072b2', '#e69f00', '#009e73', '#d55e00', '#cc79a7', '#56b4e9', '#000000')
DOMAIN_COLORS = dict(zip(DOMAINS, ('#0072b2', '#d55e00')))
#: A second mark beside the colour.
DOMAIN_MARKERS = dict(zip(DOMAINS, ('o', '^')))
#: For what is not named.
OTHERS = '#c8c8c8'
