"""The hosts' own tools know the package without importing it: their scripts, in processes."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import mmocr
import pytest
from mmengine.config import Config

from mmocr_da import startup

TEXT = Path(startup.__file__).read_text(encoding='utf-8') + 'install()\n'
MMOCR_TOOLS = Path(mmocr.__file__).parent / '.mim' / 'tools'


# ---------------------------------------------------------------------- what a start of Python does


def start(code, folder, *flags):
    """Run ``code`` after the start-up file, where ``folder`` is all that can be imported."""
    program = (
        f'import sys; before = set(sys.modules); exec({TEXT!r}, {{}})\n'
        f'added = set(sys.modules) - before; sys.path.insert(0, {str(folder)!r})\n{code}'
    )
    return subprocess.run(
        [sys.executable, '-I', '-S', *flags, '-c', program],
        text=True,
        capture_output=True,
        timeout=60,
    )


def output(result):
    assert result.returncode == 0 and not result.stderr, result.stderr
    return result.stdout.strip()


@pytest.fixture
def hosts(tmp_path):
    """Modules with the names of the hosts and of this package that only print theirs."""

    def write(**others):
        for name, text in {
            'mmengine': '',
            'mmengine.config': '',
            'mmengine.config.utils': 'MODULE2PACKAGE = {}',
            'mmengine.runner': 'print("runner")',
            'mmengine.runner.loops': '',
            'torchvision': 'print("torchvision")',
            'mmocr_da': 'import mmengine.runner.loops\nprint("mmocr_da")',
            **others,
        }.items():
            folder = tmp_path.joinpath(*name.split('.'))
            folder.mkdir(parents=True, exist_ok=True)
            if text is not None:
                (folder / '__init__.py').write_text(text)
        return tmp_path

    return write


def test_a_start_of_python_imports_nothing(tmp_path):
    assert output(start('print(sorted(added))', tmp_path)) == '[]'


@pytest.mark.parametrize(
    'code, printed',
    [
        (
            'from mmengine.config.utils import MODULE2PACKAGE as x; print(x)',
            "{'mmocr_da': 'mmocr_da.registry'}",
        ),
        ('import mmengine.runner.loops', 'runner mmocr_da'),
        ('import mmocr_da; import mmengine.runner', 'runner mmocr_da'),
        ('import mmengine, torchvision', 'runner mmocr_da torchvision'),
        ('import torchvision', 'torchvision'),
        (
            'import importlib.util; importlib.util.find_spec("mmengine.runner"); '
            'import mmengine.runner',
            'runner mmocr_da',
        ),
    ],
)
def test_the_package_comes_with_the_hosts_that_need_it(hosts, code, printed):
    assert ' '.join(output(start(code, hosts())).splitlines()) == printed
    # A second environment below this one may have the file, too.
    twice = f'exec({TEXT!r}, {{}}); {code}'
    assert ' '.join(output(start(twice, hosts())).splitlines()) == printed


@pytest.mark.parametrize(
    'package',
    [
        None,
        'raise RuntimeError("cannot run with mmocr 2")',
        'import no_such_module',
        'import warnings; warnings.warn("")',
    ],
)
def test_a_package_that_is_gone_or_broken_disturbs_nobody(hosts, package):
    code = 'import mmengine.config.utils, mmengine.runner, torchvision'
    folder = hosts(mmocr_da=package)
    assert output(start(code, folder, '-W', 'error')) == 'runner\ntorchvision'


@pytest.mark.parametrize('package', [None, 'raise RuntimeError("cannot run with mmocr 2")'])
def test_a_package_that_is_gone_publishes_nothing(hosts, package):
    infer = (
        'class BaseInferencer:\n'
        '    @staticmethod\n'
        '    def _get_models_from_metafile(folder):\n'
        '        yield "theirs"\n'
    )
    folder = hosts(mmocr_da=package, **{'mmengine.infer': '', 'mmengine.infer.infer': infer})
    (folder / 'mmocr').mkdir()
    code = (
        'from mmengine.infer.infer import BaseInferencer as b; '
        f'print([*b._get_models_from_metafile({str(folder)!r})])'
    )
    assert output(start(code, folder, '-W', 'error')) == "['theirs']"
    twice = f'exec({TEXT!r}, {{}}); {code}'
    assert output(start(twice, folder, '-W', 'error')) == "['theirs']"


def test_a_missing_host_is_reported_as_ever(tmp_path):
    assert "No module named 'mmengine'" in start('import mmengine.runner', tmp_path).stderr


# ------------------------------------------------------------------------------ what is installed


def test_the_installed_start_up_file_is_this_one():
    try:
        files = importlib.metadata.files('mmocr_da')
    except importlib.metadata.PackageNotFoundError:
        pytest.skip('mmocr_da is on the path, but not installed')
    installed = [file.locate() for file in files or () if file.name == 'mmocr_da.pth']
    assert len(installed) == 1, 'run `python tools/setup_env.py`'
    assert installed[0].read_text() == (
        f'import sys; exec({ascii(TEXT)}, {{"__name__": "mmocr_da.startup"}})\n'
    )


# -------------------------------------------------------------------------------- the hosts' tools


def run(*command, cwd):
    """Run Python in a process that only knows what its start-up does."""
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', *map(str, command)],
        cwd=cwd,
        text=True,
        capture_output=True,
        timeout=300,
        env=dict(os.environ, MPLBACKEND='agg'),
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope='module')
def config(toy, tmp_path_factory):
    """A config of another project, on a base of this package."""
    path = tmp_path_factory.mktemp('theirs') / 'theirs.py'
    path.write_text(f"""
_base_ = ['{toy}', 'mmocr_da::_base_/gates.py']
model = dict(type='mmocr_da.AdaptiveRecognizer', objectives=[
    dict(type='mmocr_da.GlobalAlignment', in_channels=16)])
default_scope = 'mmocr'
default_hooks = dict(param_scheduler=dict(type='ParamSchedulerHook'))
param_scheduler = [dict(type='mmocr_da.InverseDecayLR', by_epoch=False)]
custom_hooks = []
log_level = 'INFO'
""")
    return path


def test_train_and_test_of_mmocr_run(config, tmp_path):
    run(MMOCR_TOOLS / 'train.py', config, '--work-dir', tmp_path / 'train', cwd=tmp_path)
    checkpoint = tmp_path / 'train' / 'iter_2.pth'
    run(MMOCR_TOOLS / 'test.py', config, checkpoint, '--work-dir', tmp_path / 'test', cwd=tmp_path)
    results = json.loads(next(tmp_path.glob('test/*/*.json')).read_text())
    assert {'source/recog/cer', 'target/recog/cer'} <= set(results)


def test_the_inferencer_of_mmocr_reads_a_training_checkpoint(toy, trained, tmp_path):
    code = (
        f'from mmocr.apis import TextRecInferencer\n'
        f'model = TextRecInferencer({str(toy)!r}, {str(trained / "iter_2.pth")!r}, "cpu")\n'
        f'print(model({str(toy.parent / "source_0.png")!r}, progress_bar=False))'
    )
    assert "'predictions': [{'text':" in run('-c', code, cwd=tmp_path)


def test_the_inferencer_of_mmocr_knows_the_published_recognizers(tmp_path):
    code = (
        'from mmocr.apis import TextRecInferencer\n'
        'print(TextRecInferencer("small-aster_printed-numbers", device="cpu").cfg.model.type)'
    )
    assert 'EncoderDecoderRecognizer' in run('-c', code, cwd=tmp_path)


@pytest.mark.slow
def test_browse_dataset_of_mmocr_shows_both_domains(config, tmp_path):
    run(
        MMOCR_TOOLS / 'visualizations' / 'browse_dataset.py',
        config,
        '--not-show',
        '-m',
        'pipeline',
        '-o',
        'shown',
        cwd=tmp_path,
    )
    data = Config.fromfile(config).train_dataloader.dataset
    shown = {path.name for path in (tmp_path / 'shown').iterdir()}
    assert shown == {path.name for path in Path(data.source.data_root).glob('*.png')}
    assert any('source' in name for name in shown) and any('target' in name for name in shown)


@pytest.mark.slow
def test_vis_scheduler_of_mmocr_draws_the_learning_rate(config, tmp_path):
    run(
        MMOCR_TOOLS / 'visualizations' / 'vis_scheduler.py',
        config,
        '--save-path',
        tmp_path / 'rate.png',
        cwd=tmp_path,
    )
    assert (tmp_path / 'rate.png').stat().st_size > 0
