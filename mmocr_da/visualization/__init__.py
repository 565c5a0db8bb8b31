"""Pictures. In: weights of a checkpoint, numbers, or predictions. Out: a figure or page."""

from .adaptation_page import change_sections, check_page, write_page
from .attention import AttendedText, attention_figure
from .confusions import confusion_figure
from .curves import curves_figure
from .embeddings import DomainPoints, embedding_figure
from .gates import gates_figure, gates_of, plot_gates
from .page import Page, Section
from .pictures import add_picture_arguments, check_picture, report_picture, save_picture
from .sheet import prediction_sheet, sheet_figure
from .surrogate import plot_quality, quality_figure
from .views import ViewsOfImage, views_figure

__all__ = [
    'AttendedText',
    'DomainPoints',
    'Page',
    'Section',
    'ViewsOfImage',
    'add_picture_arguments',
    'attention_figure',
    'change_sections',
    'check_page',
    'check_picture',
    'confusion_figure',
    'curves_figure',
    'embedding_figure',
    'gates_figure',
    'gates_of',
    'plot_gates',
    'plot_quality',
    'prediction_sheet',
    'quality_figure',
    'report_picture',
    'save_picture',
    'sheet_figure',
    'views_figure',
    'write_page',
]
