"""Parts of MMOCR's dataset preparer. In: archives that a user got. Out: annotated word images.

They prepare handwritten words that MMOCR lacks: IAM, RIMES and CVL. A config of
:class:`mmocr.datasets.preparers.DatasetPreparer` names them as ``type='mmocr_da.X'`` after
``custom_imports = dict(imports=['mmocr_da.datasets.preparers'])``.
"""

from .archive_obtainer import ArchiveObtainer
from .word_parsers import (
    CVLTextRecogAnnParser,
    IAMTextRecogAnnParser,
    RIMESTextRecogAnnParser,
    WordParser,
)

__all__ = [
    'ArchiveObtainer',
    'CVLTextRecogAnnParser',
    'IAMTextRecogAnnParser',
    'RIMESTextRecogAnnParser',
    'WordParser',
]
