"""The linters are pinned in one place, and CI and pre-commit run the same steps."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def lint(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools')
    return importlib.import_module('lint')


@pytest.fixture
def commands(lint, monkeypatch, tmp_path):
    """What would be run, with the exit status of the linter that is named in ``failing``."""
    ran, failing = [], set()

    def run(command, cwd, env):
        ran.append(' '.join(command[2:]))
        return subprocess.CompletedProcess(command, int(bool(failing & set(command))))

    monkeypatch.setattr(lint, 'python_of', lambda folder: Path(sys.executable))
    monkeypatch.setattr(lint, 'install', lambda python: tmp_path)
    monkeypatch.setattr(lint.subprocess, 'run', run)
    return ran, failing


def test_the_versions_are_pinned(lint):
    for pin in map(Requirement, lint.pins()):
        assert [clause.operator for clause in pin.specifier] == ['==']


def test_a_commit_runs_the_steps_that_the_ci_runs(lint, commands):
    hooks = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos'][0]['hooks']
    assert 'python3 tools/lint.py' in (ROOT / '.ci' / 'run').read_text()
    lint.main([])
    by_ci, commands[0][:] = list(commands[0]), []
    for hook in hooks:
        lint.main(hook['entry'].split()[2:])
    assert commands[0] == by_ci == ['ruff check .', 'ruff format --check .', 'mypy']


def test_the_types_of_every_leaf_are_strict():
    settings = tomllib.loads((ROOT / 'pyproject.toml').read_text())['tool']['mypy']
    (strict,) = settings['overrides']
    assert strict['module'] == sorted(set(strict['module']))
    leaves = {f'mmocr_da.{path.stem}' for path in (ROOT / 'mmocr_da').glob('[!_]*.py')}
    assert leaves <= set(strict['module'])


@pytest.mark.parametrize('linter', ['check', 'format', 'mypy'])
def test_every_step_runs_and_one_failure_fails_all(lint, commands, linter):
    commands[1].add(linter)
    with pytest.raises(SystemExit, match=rf'lint FAILED .*:\n  .*{linter}.*: \w+'):
        lint.main([])
    assert len(commands[0]) == 3


def test_an_unknown_step_is_refused(lint, commands, capsys):
    with pytest.raises(SystemExit):
        lint.main(['pylint'])
    assert 'must be one of check, format, types, got pylint' in capsys.readouterr().err
