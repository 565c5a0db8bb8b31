"""What an installed package brings along, and that ``mmocr_da::`` finds it."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import cv2
import mmocr
import numpy as np
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
    extras = re.search(r'extras_require=\{(.*?)\}', (ROOT / 'setup.py').read_text(), re.S)[1]
    assert "'drrg': DRRG" in extras
    error = (ROOT / 'mmocr_da/models/detectors/adaptive_text_detector.py').read_text()
    wanted = re.search(r"DRRG = \['(.*?)'\]", (ROOT / 'setup.py').read_text())[1]
    assert f'pip install {wanted}' in error
    for text in (error, (ROOT / 'configs/detection/README.md').read_text()):
        assert "pip install 'mmocr_da[drrg]'" in text


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The names in a wheel of this package, and the folder that it is installed in."""
    folder = tmp_path_factory.mktemp('wheel')
    # In a copy: the build leaves a folder, and the checkout may not be writable.
    copy = folder / 'copy'
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
            folder,
            copy,
        ],
        check=True,
    )
    with zipfile.ZipFile(next(folder.glob('*.whl'))) as archive:
        archive.extractall(folder / 'site')
        return set(archive.namelist()), folder / 'site'


#: Of what a wheel needs; the weights are those of published models.
ENDINGS = '.py', '.yml', '.sh', '.pth', '.jsonl'


@pytest.mark.slow
def test_a_wheel_brings_configs_and_tools(wheel, tmp_path):
    names, site = wheel
    for name in ('configs', 'tools'):
        for path in (ROOT / name).rglob('*'):
            if path.suffix in ENDINGS and '__pycache__' not in path.parts:
                assert f'mmocr_da/.mim/{path.relative_to(ROOT).as_posix()}' in names
    assert {'mmocr_da/.mim/model-index.yml', 'mmocr_da.pth', 'mmocr_da/py.typed'} <= names
    assert 'mmocr_da/visualization/templates/page.html' in names
    assert not any(name.startswith(('tests/', 'tools/', 'configs/', 'docs/')) for name in names)
    (tmp_path / 'theirs').mkdir()
    path = resolve(tmp_path / 'theirs', dict(os.environ, PYTHONPATH=str(site)))
    assert path == site / 'mmocr_da' / '.mim' / 'configs' / CONFIG


@pytest.mark.slow
def test_a_source_distribution_brings_the_pages_of_the_site_and_not_what_is_built(wheel):
    copy = wheel[1].parent / 'copy'
    built = copy / 'docs/_build/html/built.md'
    built.parent.mkdir(parents=True, exist_ok=True)
    built.touch()
    subprocess.run([sys.executable, 'setup.py', '-q', 'sdist'], cwd=copy, check=True)
    with tarfile.open(next((copy / 'dist').glob('*.tar.gz'))) as archive:
        names = {name.partition('/')[2] for name in archive.getnames()}
    pages = {'docs/conf.py', 'docs/index.md', 'docs/notebooks/adapt.ipynb', 'docs/_static/wide.css'}
    assert pages | {'configs/seqclr/views.png'} <= names
    assert not any(name.startswith('docs/_build') for name in names)


CRNN = "'mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py'"
TWO_DOMAINS = f"""
_base_ = [{CRNN}, 'mmocr_da::_base_/two_domains.py']
model = dict(type='mmocr_da.AdaptiveRecognizer', objectives=[OBJECTIVE])
train_dataloader = dict(**_base_.two_domain_loader, dataset=dict(
    **_base_.two_domain_dataset, source=_base_.train_list, pipeline=_base_.train_pipeline))
"""
SOURCE = "dict(type='OCRDataset', data_root='ROOT', ann_file='words.json', pipeline=None)"
TARGET = "dict(type='mmocr_da.UnlabelledDataset', img_dir='ROOT/images', pipeline=None)"
TWO = f'sampler=dict(batch_size=2), dataset=dict(source=[{SOURCE}], target={TARGET})'
ONE = f'dataset=dict(datasets=[{SOURCE}])'
SCENES = "dict(type='OCRDataset', data_root='ROOT', ann_file='scenes.json')"
#: A config of each family on one of MMOCR, and the toy data in it.
FAMILIES = dict(
    alignment=(
        TWO_DOMAINS.replace('OBJECTIVE', "dict(type='mmocr_da.GlobalAlignment', in_channels=512)"),
        TWO,
    ),
    symnet=(TWO_DOMAINS.replace('OBJECTIVE', "dict(type='mmocr_da.SymNetHead')"), TWO),
    self_training=(
        TWO_DOMAINS.replace('OBJECTIVE', "dict(type='mmocr_da.SelfTraining', threshold=0.5)"),
        TWO,
    ),
    bin=(f"_base_ = {CRNN}\nmodel = dict(type='mmocr_da.WithBIN', of='CRNN')\n", ONE),
    learned_surrogate=(
        """
_base_ = 'mmocr::textrecog/satrn/satrn_shallow-small_5e_st_mj.py'
model = dict(
    type='mmocr_da.AdaptiveRecognizer', objectives=[dict(type='mmocr_da.LSEDLoss')])
""",
        ONE,
    ),
    seqclr=(
        f"""
_base_ = [{CRNN}, 'mmocr_da::_base_/pretraining.py']
model = dict(type='mmocr_da.SeqCLR')
train_dataloader = dict(**_base_.pretraining_loader, dataset=dict(
    **_base_.pretraining_dataset,
    pipeline=[dict(_base_.load_image, color_type='grayscale'),
              dict(type='Resize', scale=(100, 32)), _base_.two_views]))
""",
        f'sampler=dict(batch_size=2), dataset=dict(datasets={TARGET})',
    ),
    detection=(
        """
_base_ = ['mmocr::textdet/dbnet/dbnet_resnet18_fpnc_1200e_icdar2015.py',
          'mmocr_da::_base_/two_domain_scenes.py']
model = dict(type='mmocr_da.AdaptiveTextDetector', of='DBNet', backbone=dict(init_cfg=None),
             objectives=[dict(type='mmocr_da.ImageAlignment', in_channels=256)])
train_dataloader = dict(**_base_.two_domain_loader, dataset=dict(
    **_base_.two_domain_dataset, source=_base_.icdar2015_textdet_train,
    target_pipeline=[*_base_.load_scene, *_base_.cut_scene, _base_.pack_scene]))
""",
        f'sampler=dict(batch_size=2), dataset=dict(source={SCENES}, target=dict('
        "img_dir='ROOT/images'))",
    ),
)
TOY = """
_base_ = './theirs.py'
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, DATA)
train_cfg = dict(max_epochs=1)
val_dataloader = val_cfg = val_evaluator = test_dataloader = test_cfg = test_evaluator = None
"""


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """Four words, and two scenes."""
    root = tmp_path_factory.mktemp('images')
    rng = np.random.default_rng(0)
    words = [(f'images/{i}.png', [dict(text=str(37 * i))]) for i in range(4)]
    box = dict(
        polygon=[10, 10, 90, 15, 90, 50, 10, 45], bbox=[10, 10, 90, 50], bbox_label=0, ignore=False
    )
    scenes = [(f'scene_{i}.png', [box]) for i in range(2)]
    for kind, entries, size in (('words', words, (32, 80)), ('scenes', scenes, (128, 128))):
        data_list = [
            dict(img_path=path, instances=instances, height=size[0], width=size[1])
            for path, instances in entries
        ]
        metainfo = dict(dataset_type='Toy', task_name='toy')
        (root / f'{kind}.json').write_text(json.dumps(dict(metainfo=metainfo, data_list=data_list)))
        for path, _ in entries:
            (root / path).parent.mkdir(exist_ok=True)
            cv2.imwrite(str(root / path), rng.integers(0, 255, (*size, 3)).astype(np.uint8))
    return root


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize('family', FAMILIES)
def test_the_tool_of_mmocr_trains_a_few_lines_with_an_installed_wheel(
    wheel, images, tmp_path, family
):
    config, data = FAMILIES[family]
    (tmp_path / 'theirs.py').write_text(config)
    toy = TOY.replace('DATA', data).replace('ROOT', str(images))
    (tmp_path / 'toy.py').write_text(toy)
    tool = Path(mmocr.__file__).parent / '.mim/tools/train.py'
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', tool, 'toy.py', '--work-dir', 'run'],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        env=dict(os.environ, PYTHONPATH=str(wheel[1]), OMP_NUM_THREADS='1'),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = done.stdout + done.stderr
    assert (tmp_path / 'run/epoch_1.pth').exists() and 'loss' in said
    assert f'{ROOT}/mmocr_da/' not in said  # nothing came from this repository
