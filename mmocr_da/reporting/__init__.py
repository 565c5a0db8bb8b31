"""Pages about trainings. In: a work directory. Out: a page with all that it has.

``run_folder`` reads the directory. A module per kind of sections: ``data``, ``training``,
``health``, ``models``, ``configs``. ``summary`` has the first words, ``page`` puts all together for
one run, and ``comparison`` for several.
"""

from .comparison import compare_runs
from .page import check_report, report, run_page, write_report
from .run_folder import RunFolder

__all__ = ['RunFolder', 'check_report', 'compare_runs', 'report', 'run_page', 'write_report']
