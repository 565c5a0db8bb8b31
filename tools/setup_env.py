"""Set up everything: ``python tools/setup_env.py``.

Installs PyTorch (unless there is one already), MMCV with its operators (compiled once, kept in
``~/.cache/mmocr_da``), MMEngine, MMDetection, MMOCR and this repository (editable) into the active
virtualenv or conda environment, or else into ``.venv`` here.  About 5 minutes the first time on 2
cores, seconds after that; it may be interrupted and run again at any point.

The last line on stdout is the Python of that environment: ``PYTHON=$(python3 tools/setup_env.py)``.
"""

import argparse
import ast
import contextlib
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

from build_mmcv import MMCV_VERSION, SetupError, cache_key

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ((3, 11), (3, 12))
TORCH = '2.13.0'  # installed if there is no torch
TORCH_RANGE = ((2, 9), (2, 13))  # an installed torch that is kept; as in mmocr_da/version.py
PINS = ('mmengine==0.10.7', 'mmdet==3.1.0', 'mmocr==1.0.1')
BUILD_TOOLS = ('setuptools>=68,<81', 'wheel', 'ninja')
STAMP = 'mmocr_da-setup.json'  # in the environment: what was installed when the check last passed
STEPS = 5
FREE_GIB = 4  # disk for an environment from nothing (of a CPU torch; CUDA needs twice that)

# Runs in the environment. It lists the distributions without importing any, and the incomplete
# ones, with missing files after an interrupted pip.
PROBE = """
import importlib.metadata, json, platform, sys, sysconfig
found, damaged = {}, []
for folder in {sysconfig.get_path('purelib'), sysconfig.get_path('platlib')}:
    for dist in importlib.metadata.distributions(path=[folder]):
        name = dist.metadata['Name']
        if not name:
            continue
        name = name.lower().replace('-', '_')
        found[name] = [dist.version, dist.read_text('direct_url.json')]
        if '--files' in sys.argv and dist.read_text('METADATA'):
            # INSTALLER is among the last that pip writes.
            if not dist.read_text('INSTALLER') or not all(
                    file.locate().exists() for file in dist.files or ()
                    if file.suffix != '.pyc'):
                damaged.append([name, dist.version])
print(json.dumps(dict(prefix=sys.prefix, python=list(sys.version_info[:3]), found=found,
                      damaged=damaged, machine=platform.machine())))
"""
TORCH_PROBE = """
import json, torch
from torch.utils.cpp_extension import CUDA_HOME
print(json.dumps(dict(version=torch.__version__, cuda=torch.version.cuda,
                      gpu=torch.cuda.is_available(), nvcc=CUDA_HOME is not None)))
"""
# Run without mmocr_da, which adapts it: an error if it is built for another torch.
VISION_PROBE = """
import json
try:
    import torchvision
    print(json.dumps(True))
except (ImportError, OSError, RuntimeError):
    print(json.dumps(False))
"""
CHECK = """
import warnings
warnings.filterwarnings('ignore')
# As MMOCR's own tools, which do not import mmocr_da.
from mmengine.config import Config
from mmengine.runner import Runner
import mmcv, mmdet, mmengine, mmocr, numpy, torch, torchvision
from mmcv.ops import nms_rotated
from mmengine.hub import get_config
from mmocr.registry import MODELS
from mmocr.utils import register_all_modules
register_all_modules()
boxes = torch.tensor([[5., 5., 8., 4., 0.], [5., 5., 8., 4., .1], [30., 5., 8., 4., 0.]])
kept = nms_rotated(boxes, torch.tensor([.8, .9, .7]), 0.5)[1].tolist()
assert kept == [1, 2], f'mmcv.ops.nms_rotated kept {kept}, not [1, 2]'
cfg = get_config('mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py')
model = MODELS.build(cfg.model).eval()
with torch.no_grad():
    model(torch.zeros(1, 1, 32, 100), mode='tensor')
Config._get_cfg_path('mmocr_da::_base_/default_runtime.py', '')
import mmocr_da
print(', '.join(f'{module.__name__} {module.__version__}' for module in (
    mmocr_da, mmocr, mmdet, mmcv, mmengine, torch, torchvision, numpy)))
"""


def in_range(version, bounds=TORCH_RANGE):
    """Whether a version of torch is within ``bounds``, both included.

    >>> in_range('2.13.0+cpu'), in_range('2.14.0'), in_range('2.8.0'), in_range('2.14.0a0')
    (True, False, False, False)
    """
    low, high = bounds
    return low <= tuple(int(part) for part in version.split('.')[:2]) <= high


def torchvision_version(torch_version):
    """The torchvision that was released with this torch.

    >>> torchvision_version('2.13.0+cpu'), torchvision_version('2.7.1')
    ('0.28.0', '0.22.1')
    """
    major, minor, patch = torch_version.split('+')[0].split('.')
    assert major == '2'
    return f'0.{int(minor) + 15}.{patch}'


def torch_indexes(torch_version, has_gpu, system, chosen=None):
    """Package indexes to try, in order, for torch and torchvision; None is pip's own.

    >>> torch_indexes(None, has_gpu=False, system='Linux')
    ['https://download.pytorch.org/whl/cpu', None]
    >>> torch_indexes(None, has_gpu=True, system='Linux')
    [None]
    >>> torch_indexes('2.11.0+cu130', has_gpu=True, system='Linux')
    ['https://download.pytorch.org/whl/cu130', None]
    """
    if chosen:
        return [chosen]
    local = torch_version.partition('+')[2] if torch_version else ''
    # On PyPI the torch for Linux brings 3 GB of CUDA libraries, GPU or not.
    if torch_version is None and system == 'Linux' and not has_gpu:
        local = 'cpu'
    return [f'https://download.pytorch.org/whl/{local}', None] if local else [None]


def has_nvidia_gpu():
    """Whether this machine has an NVIDIA GPU with a driver."""
    return Path('/proc/driver/nvidia/version').exists() or bool(shutil.which('nvidia-smi'))


def has_nvcc():
    """Whether torch will find a CUDA compiler, checked without importing torch."""
    return bool(
        os.environ.get('CUDA_HOME')
        or os.environ.get('CUDA_PATH')
        or shutil.which('nvcc')
        or Path('/usr/local/cuda').exists()
    )


def reachable(url):
    """Whether a package index of PyTorch answers."""
    try:
        with urllib.request.urlopen(f'{url}/torch/', timeout=10):
            return True
    except (OSError, ValueError):
        return False


def cache_folder():
    """Folder of the files that are kept between set-ups: wheels, the log, linters."""
    base = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    return Path(base) / 'mmocr_da'


def from_setup(name):
    """Return a constant of ``setup.py`` without running it."""
    tree = ast.parse((ROOT / 'setup.py').read_text(encoding='utf-8'))
    return next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    )


def requirements():
    """The requirements of ``setup.py`` without the hosts."""
    return from_setup('REQUIREMENTS') + from_setup('TESTS')


def recipe():
    """A hash of this script and the files that it installs from; a change invalidates the stamp."""
    digest = hashlib.sha256()
    for name in (
        'tools/setup_env.py',
        'tools/build_mmcv.py',
        'setup.py',
        'mmocr_da/version.py',
        'mmocr_da/startup.py',
    ):
        digest.update((ROOT / name).read_bytes())
    return f'{ROOT}:{digest.hexdigest()}'


def state(probe):
    """Collect everything that decides which packages are installed."""
    return {
        'recipe': recipe(),
        'found': probe['found'],
        'python': probe['python'],
        'cuda': has_nvidia_gpu() and has_nvcc(),
    }


def is_satisfied(stamp, probe):
    """Whether nothing was installed, removed or changed since the check passed."""
    return stamp == state(probe)


def needs_mmcv(probe, key):
    """Whether MMCV must be installed: it is absent, of another version, or built for another torch.

    A wheel of ours is recognized by the folder that pip recorded; one that the user built is kept.
    """
    version, origin = probe['found'].get('mmcv', [None, None])
    if version != MMCV_VERSION:
        return True
    origin = urllib.parse.unquote(origin or '')
    return '/mmocr_da/wheels/' in origin and f'/{key}/' not in origin


def choose_environment(option=None, environ=os.environ):
    """Folder of the environment to fill: ``--env``, the active one, or ``.venv``."""
    if option:
        return Path(option).expanduser().absolute()
    if environ.get('VIRTUAL_ENV'):
        return Path(environ['VIRTUAL_ENV'])
    # The base environment of conda is active in every shell, and not to be filled by accident.
    if environ.get('CONDA_PREFIX') and environ.get('CONDA_DEFAULT_ENV') != 'base':
        return Path(environ['CONDA_PREFIX'])
    if sys.prefix != sys.base_prefix:
        return Path(sys.prefix)
    return ROOT / '.venv'


def python_of(folder):
    """Path of the Python of an environment."""
    return folder / ('Scripts/python.exe' if os.name == 'nt' else 'bin/python')


def choose_python():
    """Find a Python of a supported version to make ``.venv`` with.

    Raises:
        SetupError: If there is none.
    """
    if sys.version_info[:2] in PYTHONS:
        return sys.executable
    for major, minor in PYTHONS:
        path = shutil.which(f'python{major}.{minor}')
        # Run it: pyenv puts a name on the PATH for every version, usable or not.
        if path and subprocess.run([path, '-c', ''], stderr=subprocess.DEVNULL).returncode == 0:
            return path
    raise SetupError(
        f'Python 3.11 or 3.12 is needed, this is {platform.python_version()} and no python3.11 or '
        'python3.12 is on the PATH. Install one (apt install python3.11-venv; conda create -n '
        'mmocr_da python=3.11; uv python install 3.11) and run this again with it'
    )


class Setup:
    """The steps of the set-up; they report progress on stderr and write a log."""

    def __init__(self, folder, index=None):
        self.folder = folder
        self.python = python_of(folder)
        self.index = index
        self.start = time.monotonic()
        self.number = 0
        self.notes = []  # for the user, at the end
        self.log_path = cache_folder() / 'setup.log'
        self.log = None

    def say(self, text):
        """Print a line of progress."""
        print(f'[{time.monotonic() - self.start:4.0f} s] {text}', file=sys.stderr, flush=True)

    def step(self, text):
        """Print the start of the next step."""
        self.number += 1
        self.say(f'step {self.number} of {STEPS}: {text}')

    def run(self, command, what, relay=False):
        """Run a command with its output in the log; report progress every 20 seconds.

        Raises:
            SetupError: If it fails.
        """
        self.log.write(f'\n$ {" ".join(map(str, command))}\n')
        self.log.flush()
        start, position = time.monotonic(), self.log_path.stat().st_size
        output = None if relay else self.log
        with subprocess.Popen(
            list(map(str, command)), stdout=self.log, stderr=output, cwd=ROOT, env=self.environ()
        ) as process:
            try:
                while process.poll() is None:
                    try:
                        process.wait(timeout=20)
                    except subprocess.TimeoutExpired:
                        if not relay:
                            self.say(f'  {what}, {time.monotonic() - start:.0f} s')
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            output = self.log_path.read_bytes()[position:].decode(errors='replace')
            raise SetupError(explain(what, output, self.log_path))

    def environ(self):
        """Environment variables of the commands that are run."""
        # Settings for the caller's Python would confuse the environment's.
        env = {
            name: value
            for name, value in os.environ.items()
            if name not in ('PYTHONPATH', 'PYTHONHOME', 'PIP_TARGET', 'PIP_USER')
        }
        return dict(env, PIP_DISABLE_PIP_VERSION_CHECK='1', PIP_NO_INPUT='1', PYTHONNOUSERSITE='1')

    def pip(self, *arguments, what):
        """Run ``pip install``."""
        self.run([self.python, '-m', 'pip', 'install', '--quiet', *arguments], what)

    def ask(self, code, *arguments):
        """Run ``code`` with the environment's Python; return the JSON of its last line.

        Raises:
            SetupError: If it fails.
        """
        result = subprocess.run(
            [str(self.python), '-c', code, str(ROOT), *arguments],
            text=True,
            capture_output=True,
            env=self.environ(),
            cwd=ROOT,
        )
        if result.returncode:
            raise SetupError(
                f'{self.python} does not work:\n{result.stderr.strip()[-600:]}\n'
                f'Remove {self.folder} and run this again'
            )
        return json.loads(result.stdout.splitlines()[-1])

    def probe(self, files=False):
        """Return the packages of the environment; with ``files``, also incomplete ones."""
        return self.ask(PROBE, *(['--files'] if files else []))

    # ---------------------------------------------------------------------------------- the steps

    def make_environment(self):
        """Make the environment if there is none, and repair incomplete packages.

        Raises:
            SetupError: If the disk is full, or the environment has an unsupported Python.
        """
        self.step(f'environment {self.folder}')
        if not self.python.exists():
            base = choose_python()
            existing = self.folder
            while not existing.exists():
                existing = existing.parent
            free = shutil.disk_usage(existing).free / 2**30
            if free < FREE_GIB:
                raise SetupError(
                    f'{self.folder} needs {FREE_GIB} GiB, {free:.1f} GiB are free '
                    'there: free some, or give another place with --env DIR'
                )
            self.run(
                [base, '-m', 'venv', self.folder],
                'making the environment (Debian/Ubuntu: needs apt install python3-venv)',
            )
        probe = self.probe(files=True)
        version = tuple(probe['python'][:2])
        if version not in PYTHONS:
            raise SetupError(
                f'Python 3.11 or 3.12 is needed, {self.folder} has {version[0]}.{version[1]}. '
                'Deactivate it and run this again (it makes .venv), or give --env DIR'
            )
        if 'pip' not in probe['found']:
            self.run([self.python, '-m', 'ensurepip'], 'installing pip')
        for name, version in probe['damaged']:
            # Our own editable install can miss only its link, which is installed last.
            if name not in ('mmocr_da', 'mmcv', 'pip'):
                self.say(f'  {name} {version} is incomplete; installing it again')
                self.pip('--no-deps', '--force-reinstall', f'{name}=={version}', what=name)
        return probe

    def install_torch(self, probe):
        """Install torch unless there is one, the fitting torchvision, and build tools.

        Raises:
            SetupError: If an unsupported torch is installed.
        """
        version = probe['found'].get('torch', [None])[0]
        if version and not in_range(version):
            raise SetupError(
                f'torch {version} is installed in {self.folder}; wanted: torch>=2.9,<2.14. '
                f'Change it (pip install torch=={TORCH}) or give another place with --env DIR'
            )
        self.step(f'torch {version} (kept), build tools' if version else f'torch {TORCH}')
        vision = torchvision_version(version or TORCH)
        found = probe['found'].get('torchvision', [''])[0].split('+')[0]
        if not version or found != vision or not self.ask(VISION_PROBE):
            index = self.choose_index(version)
            where = ['--index-url', index] if index else []
            if not version:
                self.pip(
                    *where, f'torch=={TORCH}', what=f'downloading and installing torch {TORCH}'
                )
            # PyPI has no build that fits a torch with a local version, if this one does not.
            if found != vision or index or '+' not in (version or ''):
                # No dependencies: the wheel on PyPI would replace a torch with a local version,
                # and its other two (numpy, pillow) come with the rest.
                self.pip(
                    *where,
                    '--no-deps',
                    '--force-reinstall',
                    f'torchvision=={vision}',
                    what='torchvision',
                )
        self.pip(*BUILD_TOOLS, what='build tools')

    def choose_index(self, version):
        """Return the first package index for torch that can be reached; None is the default."""
        for index in torch_indexes(version, has_nvidia_gpu(), platform.system(), self.index):
            if index in (None, self.index) or reachable(index):
                return index
            self.say(f'  {index} cannot be reached; trying the default package index')

    def build_mmcv(self, probe):
        """Return the path of a wheel of MMCV for this torch; None if the installed one fits."""
        torch = self.ask(TORCH_PROBE)
        wants_cuda = torch['gpu'] or os.environ.get('FORCE_CUDA') == '1'
        if wants_cuda and not torch['nvcc']:
            self.notes.append(
                'there is a GPU but no CUDA compiler (nvcc): the operators of MMCV are built for '
                'the CPU. Recognizers do not need them; detectors, and recognizers with '
                'deformable convolutions, do not run on the GPU. For those install the CUDA '
                f'toolkit {torch["cuda"]} and run this again'
            )
            wants_cuda = False
        python = '.'.join(map(str, probe['python'][:2]))
        key = cache_key(
            python, torch['version'], torch['cuda'] if wants_cuda else None, probe['machine']
        )
        if not needs_mmcv(self.probe(), key) and 'mmcv' not in dict(probe['damaged']):
            self.step(f'mmcv {MMCV_VERSION} (kept)')
            return None
        folder = cache_folder() / 'wheels' / key
        wheel = cached_wheel(folder)
        if wheel:
            self.step(f'mmcv {MMCV_VERSION}, built before: {wheel}')
            return wheel
        minutes = 'half an hour or more' if wants_cuda else '2 to 4 minutes on 2 cores'
        self.step(f'building mmcv {MMCV_VERSION} with its operators, {minutes}, once')
        folder.parent.mkdir(parents=True, exist_ok=True)
        for old in folder.parent.glob('.unfinished-*'):  # of a set-up that was killed
            shutil.rmtree(old, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix='.unfinished-') as unfinished:
            # -W: torch warns that there is no numpy yet.
            self.run(
                [
                    self.python,
                    '-W',
                    'ignore',
                    ROOT / 'tools' / 'build_mmcv.py',
                    '--out',
                    unfinished,
                    '--log',
                    self.log_path,
                    '--cuda' if wants_cuda else '--cpu',
                ],
                'building mmcv',
                relay=True,
            )
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            built = next(Path(unfinished).glob('*.whl'))
            # A rename, so that others see no wheel or a complete one.
            os.replace(built, folder / built.name)
        return cached_wheel(folder)

    def install_rest(self, wheel):
        """Install MMCV, the hosts, the requirements and this repository."""
        if wheel:
            self.pip('--no-deps', '--force-reinstall', wheel, what='installing mmcv')
        self.step('mmengine, mmdet, mmocr, their dependencies and this repository (editable)')
        # One resolution of all, so that nothing is installed that another part rules out.
        self.pip(*PINS, *requirements(), 'numpy>=1.24,<2', what='downloading and installing')
        self.pip('--no-deps', '--no-build-isolation', '--editable', ROOT, what='this repository')

    def check(self):
        """Check that each package works by using a part of it.

        Raises:
            SetupError: If one does not work.
        """
        result = subprocess.run(
            [str(self.python), '-c', CHECK],
            text=True,
            capture_output=True,
            env=self.environ(),
            cwd=tempfile.gettempdir(),
        )
        if self.log:
            self.log.write(result.stdout + result.stderr)
        if result.returncode:
            raise SetupError(
                'the check failed; the error was\n'
                f'{result.stderr.strip()[-1500:]}\nIf this is an environment with '
                'other packages in it, try a separate one: --env .venv'
            )
        if not self.ask(VISION_PROBE):
            self.notes.append(
                'torchvision is built for another torch: its operators cannot be used. MMOCR '
                'needs its transforms alone; a program that imports torchvision and no part of '
                'OpenMMLab does not start in this environment'
            )
        self.say(f'works: {result.stdout.splitlines()[-1]}')
        for note in self.notes:
            self.say(f'note: {note}')

    def is_set_up(self):
        """Whether the check passed and nothing has changed since."""
        stamp = read_json(self.folder / STAMP)
        return bool(stamp) and self.python.exists() and is_satisfied(stamp, self.probe())

    def main(self):
        """Run all steps, unless they are done."""
        if self.is_set_up():
            self.say(f'{self.folder} is set up already')
            return
        with lock(self.say):
            if self.is_set_up():  # by the one that had the lock
                return
            cache_folder().mkdir(parents=True, exist_ok=True)
            self.log_path.write_text('')
            # Appending: the compiler writes to the same file.
            with open(self.log_path, 'a', encoding='utf-8') as self.log:
                probe = self.make_environment()
                self.install_torch(probe)
                self.install_rest(self.build_mmcv(probe))
                self.step('check')
                self.check()
                probe = self.probe()
                write_json(self.folder / STAMP, state(probe))


def cached_wheel(folder):
    """Return the wheel in ``folder``, if there is one and it is complete."""
    for wheel in folder.glob('mmcv-*.whl'):
        if zipfile.is_zipfile(wheel):
            with zipfile.ZipFile(wheel) as archive:
                if archive.testzip() is None:
                    return wheel
        wheel.unlink()
    return None


def explain(what, output, log_path):
    """Explain the failure of a command from its output, with a hint what to do."""
    hints = (
        (
            'No space left',
            'The disk is full: free some space (4 GiB in all) or set TMPDIR, '
            'XDG_CACHE_HOME or --env to a larger one.',
        ),
        ('Killed', 'A process was killed, perhaps for want of memory: set MAX_JOBS=1.'),
        (
            'Could not find a version',
            'The package index does not have it or cannot be reached: '
            'check the network, a proxy, `pip config list`.',
        ),
        ('Max retries', 'The package index cannot be reached: check the network or a proxy.'),
        ('externally-managed', 'This Python belongs to the system: use --env .venv.'),
    )
    hint = next((hint for sign, hint in hints if sign in output), 'See the log.')
    # pip warns of every local index folder that lacks a package; this is not the error.
    lines = [line for line in output.splitlines() if line.strip() and 'is ignored' not in line]
    end = '\n'.join(f'  {line[:300]}' for line in lines[-12:])
    return f'failed: {what}\n{end}\n{hint}\nLog: {log_path}. Run this again to continue.'


def read_json(path):
    """Return the content of a JSON file; None if it is missing or incomplete."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None


def write_json(path, value):
    """Write a JSON file, completely or not at all."""
    unfinished = path.with_name(path.name + '.unfinished')
    unfinished.write_text(json.dumps(value), encoding='utf-8')
    os.replace(unfinished, path)


@contextlib.contextmanager
def lock(say):
    """Allow one set-up at a time for each user; the lock ends with the process."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    cache_folder().mkdir(parents=True, exist_ok=True)
    with open(cache_folder() / 'lock', 'w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say('another set-up is running; waiting for it')
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0],
        epilog=__doc__.split('\n\n', 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--env',
        metavar='DIR',
        help='environment to use or make; default: the active one, else .venv in the repository',
    )
    parser.add_argument(
        '--torch-index-url',
        metavar='URL',
        help='package index for torch and '
        'torchvision; default: on Linux without an NVIDIA GPU the CPU builds of '
        'download.pytorch.org if it can be reached, else the index of pip',
    )
    parser.add_argument(
        '--check', action='store_true', help='only check that the environment works'
    )
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        setup = Setup(choose_environment(args.env), args.torch_index_url)
        if args.check:
            if not setup.python.exists():
                raise SetupError(f'no environment in {setup.folder}: run this without --check')
            setup.check()
        else:
            setup.main()
    except KeyboardInterrupt:
        print('\ninterrupted; run this again to continue', file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        sys.exit(f'setup_env.py: {error}')
    except SetupError as error:
        sys.exit(f'setup_env.py: {error}')
    print(setup.python)


if __name__ == '__main__':
    main()
