"""What an installed package brings along, and that ``mmocr_da::`` finds it."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

import mmocr_da
from mmocr_da import renamed

ROOT = Path(__file__).resolve().parent.parent
CONFIG = '_base_/default_runtime.py'


def resolve(folder, environ=None):
    """Where ``mmocr_da::`` leads from a config of another project, in a fresh interpreter."""
    (folder / 'theirs.py').write_text(f"_base_ = ['mmocr_da::{CONFIG}']\nseen = 1\n")
    code = (
        'import mmocr_da; from mmengine.config import Config; '
        'print(Config.fromfile("theirs.py").seen, '
        f'Config._get_cfg_path("mmocr_da::{CONFIG}", "")[0])'
    )
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        cwd=folder,
        text=True,
        capture_output=True,
        env=environ,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    seen, path = result.stdout.split()
    assert seen == '1'
    return Path(path)


def test_another_project_can_build_on_a_config(tmp_path):
    path = resolve(tmp_path)
    installed = Path(mmocr_da.__file__).parent / '.mim' / 'configs' / CONFIG
    assert path == installed
    assert path.read_text() == (ROOT / 'configs' / CONFIG).read_text()


def test_the_model_index_lists_every_metafile():
    listed = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    there = [path.relative_to(ROOT).as_posix() for path in ROOT.glob('configs/*/metafile.yml')]
    assert sorted(listed) == sorted(there)


def test_every_config_of_the_model_index_exists():
    for metafile in yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']:
        for model in yaml.safe_load((ROOT / metafile).read_text())['Models']:
            assert (ROOT / model['Config']).is_file()  # tests/configs read it


def test_the_paths_in_contributing_exist():
    text = (ROOT / 'CONTRIBUTING.md').read_text()
    paths = re.findall(r'\b(?:mmocr_da|tests|configs|tools)/[\w./<>-]*\w', text)
    paths = [path for path in paths if '<' not in path and '/a/' not in path]
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_changelog_has_this_version_and_its_old_names():
    text = (ROOT / 'CHANGELOG.md').read_text()
    assert f'## [{mmocr_da.__version__}]' in text
    for old, new in renamed.CLASSES.items():
        assert f'| `{old}` | `{new}` |' in text
    for old in renamed.REMOVED:
        assert f'`{old}`' in text


def test_the_extra_of_drrg_is_what_its_error_and_its_readme_name():
    extras = re.search(r'extras_require=\{(.*?)\}', (ROOT / 'setup.py').read_text())[1]
    assert "'drrg': DRRG" in extras
    error = (ROOT / 'mmocr_da/models/detectors/adaptive_text_detector.py').read_text()
    wanted = re.search(r"DRRG = \['(.*?)'\]", (ROOT / 'setup.py').read_text())[1]
    assert f'pip install {wanted}' in error
    for text in (error, (ROOT / 'configs/detection/README.md').read_text()):
        assert "pip install 'mmocr_da[drrg]'" in text


@pytest.mark.slow
def test_a_wheel_brings_configs_and_tools(tmp_path):
    # In a copy: the build leaves a folder, and the checkout may not be writable.
    copy = tmp_path / 'copy'
    subprocess.run(['cp', '-r', ROOT, copy], check=True)
    for leftover in ('build', 'mmocr_da.egg-info', 'mmocr_da/.mim', '.venv'):
        subprocess.run(['rm', '-rf', copy / leftover], check=True)
    subprocess.run(
        [
            sys.executable,
            '-m',
            'pip',
            'wheel',
            '--quiet',
            '--no-deps',
            '--no-build-isolation',
            '--wheel-dir',
            tmp_path,
            copy,
        ],
        check=True,
    )
    with zipfile.ZipFile(next(tmp_path.glob('*.whl'))) as wheel:
        wheel.extractall(tmp_path / 'site')
        names = set(wheel.namelist())
    for name in ('configs', 'tools'):
        for path in (ROOT / name).rglob('*'):
            if path.suffix in ('.py', '.yml', '.sh') and '__pycache__' not in path.parts:
                assert f'mmocr_da/.mim/{path.relative_to(ROOT).as_posix()}' in names
    assert {'mmocr_da/.mim/model-index.yml', 'mmocr_da.pth', 'mmocr_da/py.typed'} <= names
    assert not any(name.startswith(('tests/', 'tools/', 'configs/')) for name in names)
    environ = dict(os.environ, PYTHONPATH=str(tmp_path / 'site'))
    (tmp_path / 'theirs').mkdir()
    path = resolve(tmp_path / 'theirs', environ)
    assert path == tmp_path / 'site' / 'mmocr_da' / '.mim' / 'configs' / CONFIG
