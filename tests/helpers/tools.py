"""The command-line tools, run in this process."""

import gc
import importlib.util
from pathlib import Path
from unittest.mock import patch

from mmocr.visualization import TextRecogLocalVisualizer

TOOLS = Path(__file__).parents[2] / 'tools'


def load_tool(name):
    """Import ``tools/<name>.py`` as it is."""
    spec = importlib.util.spec_from_file_location(name.replace('/', '_'), TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_tool(name, *arguments):
    """Run ``tools/<name>.py`` with a command line, in this process."""
    module = load_tool(name)
    # Most of a toy run is MMEngine pretty-printing its config seven times, and collecting garbage
    # among all that is imported whenever it builds a dataset.
    gc.freeze()
    # A visualizer is global by its name: an older run's would write into that run's folder.
    TextRecogLocalVisualizer._instance_dict.clear()
    try:
        with (
            patch('sys.argv', [f'{name}.py', *map(str, arguments)]),
            patch('mmengine.config.config.FormatCode', lambda text, **_: (text, True)),
        ):
            module.main()
    finally:
        # And a later run, which a test makes without a tool, would write into the folder of this.
        TextRecogLocalVisualizer._instance_dict.clear()
