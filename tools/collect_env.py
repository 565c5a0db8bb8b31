"""Print the versions for a bug report: ``python tools/collect_env.py``.

It prints the versions of this package and its hosts, and describes the machine. It imports neither
this package nor MMOCR, so it also works where they do not.
"""

import ast
import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def wanted():
    """Version of this package and requirement by host, read from ``mmocr_da/version.py``."""
    # In a wheel, this file is in `mmocr_da/.mim/tools`.
    path = next(p for p in (ROOT / 'mmocr_da', ROOT.parent) if (p / 'version.py').exists())
    names = {}
    for node in ast.parse((path / 'version.py').read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign):
            names[ast.unparse(node.targets[0])] = ast.literal_eval(node.value)
    return names['__version__'], names['HOSTS']


def commit():
    """Commit of the checkout, with a mark if files were changed; 'none' without a checkout."""
    command = ['git', '-C', str(ROOT), 'describe', '--always', '--dirty', '--abbrev=12']
    try:
        return subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).strip()
    except (OSError, subprocess.CalledProcessError):
        return 'none'


def installed(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return 'none'


def machine():
    """What MMEngine knows about the machine, or the error that it raises."""
    try:
        from mmengine.utils.dl_utils import collect_env

        return collect_env()
    except Exception as error:  # whatever an installation that is broken raises
        return {'MMEngine': f'{type(error).__name__}: {error}'}


def main():
    version, hosts = wanted()
    print(f'mmocr_da: {version}, commit {commit()}')
    for name, requirement in hosts.items():
        print(f'{name}: {installed(name)} (wanted: {requirement})')
    print(f'torchvision: {installed("torchvision")}')
    print(f'platform: {platform.platform()}, {sys.executable}')
    for name, value in machine().items():
        # Longer than all the rest, and the version of torch is printed above.
        if name != 'PyTorch compiling details':
            print(f'{name}: {value}')


if __name__ == '__main__':
    main()
