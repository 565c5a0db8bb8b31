"""Check the style and the types of the code: ``python3 tools/lint.py [check] [format] [types]``.

Runs ``ruff check``, ``ruff format --check`` and ``mypy``, all or the named ones, with
the settings in ``pyproject.toml``. ``LINT`` in ``setup.py`` has their versions; they are
installed once per machine, beside the environment and not into it (``~/.cache/mmocr_da/lint``).
The hooks of pre-commit and the CI call this script, too.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from setup_env import ROOT, cache_folder, choose_environment, from_setup, python_of

#: By step: the command after ``python -m``, with ``--fix``, and what to do if it fails.
STEPS = {
    'check': (
        ['ruff', 'check', '.'],
        ['ruff', 'check', '--fix', '.'],
        'run `python3 tools/lint.py check --fix`, then correct the rest by hand',
    ),
    'format': (
        ['ruff', 'format', '--check', '.'],
        ['ruff', 'format', '.'],
        'run `python3 tools/lint.py format --fix`',
    ),
    'types': (
        ['mypy'],
        ['mypy'],
        'correct the annotation or the code; `# type: ignore[code]` needs its reason beside it',
    ),
}


def pins():
    """Return the linters and their versions."""
    return from_setup('LINT')


def install(python):
    """Install the pinned linters for this Python, unless they are there; return their folder.

    Raises:
        SystemExit: If the installation fails.
    """
    tag = subprocess.check_output(
        [python, '-c', 'import sys; print(sys.implementation.cache_tag)'], text=True
    ).strip()
    folder = cache_folder() / 'lint' / '-'.join([tag, *pins()])
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f'installing {", ".join(pins())} into {folder}', flush=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        target = Path(unfinished, 'site')
        command = [python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
        result = subprocess.run(
            [*command, '--target', target, *pins()], text=True, stderr=subprocess.PIPE
        )
        if result.returncode:
            raise SystemExit(
                f'{result.stderr[-1500:]}\nlint.py: installing {", ".join(pins())} failed; '
                'the package index must be reachable the first time'
            )
        try:
            # A rename, so that others see no folder or a complete one.
            target.rename(folder)
        except OSError:  # another process was first
            shutil.rmtree(target)
    return folder


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('steps', nargs='*', metavar='step', help=f'of {", ".join(STEPS)}')
    parser.add_argument('--fix', action='store_true', help='let ruff correct errors')
    args = parser.parse_args(argv)
    if unknown := set(args.steps) - set(STEPS):
        parser.error(f'a step must be one of {", ".join(STEPS)}, got {", ".join(sorted(unknown))}')
    python = python_of(choose_environment())
    if not python.exists():
        raise SystemExit(
            f'lint.py: there is no environment in {python.parent.parent}, and mypy needs its '
            'packages; run `python3 tools/setup_env.py` first'
        )
    start = time.monotonic()
    environ = dict(os.environ, PYTHONPATH=str(install(python)))
    failed = []
    for name in args.steps or STEPS:
        command, fixing, advice = STEPS[name]
        command = fixing if args.fix else command
        print(f'$ {" ".join(command)}', flush=True)
        if subprocess.run([python, '-m', *command], cwd=ROOT, env=environ).returncode:
            failed.append(f'  {" ".join(command)}: {advice}')
    seconds = f'{time.monotonic() - start:.0f} s'
    if failed:
        sys.exit('\n'.join([f'lint FAILED ({seconds}):', *failed]))
    print(f'lint passed ({seconds})')


if __name__ == '__main__':
    main()
