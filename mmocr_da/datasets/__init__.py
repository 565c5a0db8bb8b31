"""Data. In: image files and annotations. Out: batches with a fixed mix of (un)labelled images."""

from mmocr_da.compat import parse_conditions_once

from .check_polygons import CheckPolygons
from .label_fraction import LabelFraction
from .multi_view import MultiView, check_column_order
from .polygons_to_rotated_boxes import PolygonsToRotatedBoxes
from .recog_lmdb_dataset import LazyRecogLMDBDataset
from .rendered_words import RenderedWords
from .seeded_dataset import SeededDataset
from .seeded_sampler import SeededSampler
from .text_augmentation import TextAugmentation
from .two_domain_dataset import TwoDomainDataset
from .two_domain_sampler import TwoDomainSampler
from .unlabelled_dataset import UnlabelledDataset
from .view_transforms import (
    CropAndResize,
    GaussianBlur,
    LinearContrast,
    PerspectiveJitter,
    PiecewiseAffine,
    Sharpen,
    SomeOf,
)
from .weak_strong_views import WeakStrongViews

parse_conditions_once()

__all__ = [
    'CheckPolygons',
    'CropAndResize',
    'GaussianBlur',
    'LabelFraction',
    'LazyRecogLMDBDataset',
    'LinearContrast',
    'MultiView',
    'PerspectiveJitter',
    'PiecewiseAffine',
    'PolygonsToRotatedBoxes',
    'RenderedWords',
    'SeededDataset',
    'SeededSampler',
    'Sharpen',
    'SomeOf',
    'TextAugmentation',
    'TwoDomainDataset',
    'TwoDomainSampler',
    'UnlabelledDataset',
    'WeakStrongViews',
    'check_column_order',
]
