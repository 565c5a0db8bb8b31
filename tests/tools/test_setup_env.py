"""The set-up decides: which torch, which wheel, what to do again. No network, no build."""

import doctest
import importlib.metadata
import importlib.util
import itertools
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mmocr_da.version import HOSTS

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


def load(name, monkeypatch):
    """A script of ``tools/`` as a module; the scripts import each other as when they are run."""
    monkeypatch.syspath_prepend(str(TOOLS))
    spec = importlib.util.spec_from_file_location(name, TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def build(monkeypatch):
    return load('build_mmcv', monkeypatch)


@pytest.fixture
def setup_env(build, monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return load('setup_env', monkeypatch)


def probe(**found):
    return dict(
        prefix='/env',
        python=[3, 11, 7],
        machine='x86_64',
        damaged=[],
        found={name: [version, None] for name, version in found.items()},
    )


def test_the_examples_in_the_docstrings_are_true(build, setup_env):
    results = [doctest.testmod(module) for module in (build, setup_env)]
    assert all(result.attempted and not result.failed for result in results)


# ------------------------------------------------------------------------------- building mmcv


@pytest.mark.parametrize(
    'torch, standard',
    [
        ('2.13.0+cpu', 'c++20'),
        ('2.13.1', 'c++20'),
        ('2.14.0.dev20261101+cu130', 'c++20'),
        ('3.0.0', 'c++20'),
        ('2.12.1+cu130', 'c++17'),
        ('2.6.0', 'c++17'),
    ],
)
def test_cxx_standard_follows_torch(build, torch, standard):
    assert build.cxx_standard(torch) == standard


def test_every_version_and_the_machine_change_the_key(build):
    base = ('3.11', '2.13.0+cpu', None, 'x86_64')
    others = ('3.12', '2.12.0+cpu', '13.0', 'aarch64')
    keys = {
        build.cache_key(*(other if index == place else value for place, value in enumerate(base)))
        for index, other in enumerate(others)
    }
    keys.add(build.cache_key(*base))
    assert len(keys) == 5
    assert all(re.fullmatch(r'[\w.+-]+', key) for key in keys), 'not a folder name'


@pytest.mark.parametrize('units', [1, 3, 8, 200])
def test_every_source_is_in_one_unit(build, units):
    sizes = {f's{i}.cpp': (i * 37) % 101 for i in range(75)}
    sizes.update({name: 50 for name in build.ALONE})
    groups = build.group_sources(sizes, units)
    assert sorted(itertools.chain(*groups)) == sorted(sizes)
    assert all([name] in groups for name in build.ALONE)
    assert len(groups) <= units + len(build.ALONE) and all(groups)


def test_units_are_of_about_one_size(build):
    sizes = {f's{i}.cpp': 1000 + (i * 37) % 101 for i in range(80)}
    totals = [sum(sizes[name] for name in group) for group in build.group_sources(sizes, 8)]
    assert max(totals) < 1.1 * min(totals)


@pytest.fixture
def source(build, tmp_path):
    """A source tree like MMCV's in what matters: globs, flags, macros, a greedy namespace."""
    csrc = tmp_path / build.CSRC
    (csrc / 'cpu').mkdir(parents=True)
    (tmp_path / 'setup.py').write_text(
        "extra_compile_args['cxx'] = ['-std=c++14']\nnvcc += ['-std=c++14']\n"
    )
    helper = tmp_path / 'mmcv/ops/csrc/common/pytorch_cuda_helper.hpp'
    helper.parent.mkdir(parents=True)
    helper.write_text('#include <THC/THCAtomics.cuh>\n')
    (csrc / 'cuda').mkdir()
    (csrc / 'cuda' / 'deform.cu').write_text('#include <THC/THCAtomics.cuh>\nint deform;\n')
    (csrc / 'pybind.cpp').write_text('int pybind;\n')
    (csrc / 'a.cpp').write_text('using namespace std;\nint a;\n')
    (csrc / 'b.cpp').write_text('#define min(a, b) a\nint b;\n')
    (csrc / 'cpu' / 'b.cpp').write_text('int cpu_b;\n')
    (csrc / 'cpu' / 'roi_align_rotated.cpp').write_text('int rotated;\n')
    return tmp_path


def test_combined_sources_are_the_same_sources(build, source):
    csrc = source / build.CSRC
    before = {path.relative_to(csrc).as_posix(): path.read_text() for path in csrc.rglob('*.cpp')}
    build.combine_sources(source, units=1)
    units = [*csrc.glob('*.cpp'), *(csrc / 'cpu').glob('*.cpp')]  # the globs of MMCV's setup.py
    included = re.findall(r'#include "parts/(.+)"', ''.join(path.read_text() for path in units))
    assert sorted(included) == sorted(before)
    assert {name: (csrc / 'parts' / name).read_text() for name in included} == before


def test_nothing_of_one_source_reaches_the_next(build, source):
    build.combine_sources(source, units=1)
    shared = next(
        text
        for path in (source / build.CSRC).glob('unit*.cpp')
        if 'parts/a.cpp' in (text := path.read_text())
    )
    lines = shared.splitlines()
    assert lines[lines.index('#include "parts/b.cpp"') + 1] == '#undef min'
    assert lines.index('#include <torch/types.h>') < lines.index('#include "parts/cpu/b.cpp"')
    assert [line for line in lines if 'parts/' in line][-1] == '#include "parts/a.cpp"'


def test_patched_sources_ask_for_the_standard_of_torch(build, source):
    build.patch_sources(source, '2.13.0', source)
    text = (source / 'setup.py').read_text()
    assert 'c++14' not in text and text.count('-std=c++20') == 2 and "'-g0'" in text
    helper = source / 'mmcv/ops/csrc/common/pytorch_cuda_helper.hpp'
    assert helper.read_text() == '#include <ATen/cuda/Atomic.cuh>\n'
    assert not any(
        'THC' in path.read_text() for path in (source / 'mmcv').rglob('*') if path.is_file()
    )


def test_a_header_that_torch_has_stays(build, source):
    (source / 'THC').mkdir()
    (source / 'THC' / 'THCAtomics.cuh').touch()
    build.patch_sources(source, '2.6.0', source)
    helper = source / 'mmcv/ops/csrc/common/pytorch_cuda_helper.hpp'
    assert helper.read_text() == '#include <THC/THCAtomics.cuh>\n'


def test_other_sources_are_refused(build, source):
    (source / 'setup.py').write_text("extra_compile_args['cxx'] = ['-std=c++17']\n")
    with pytest.raises(build.SetupError, match='not the setup.py of MMCV 2.0.1'):
        build.patch_sources(source, '2.12.0', source)


def test_a_missing_compiler_is_named_with_what_to_install(build, monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    with pytest.raises(build.SetupError, match=r'no-such-compiler\).*apt install g\+\+'):
        build.check_compiler('c++20')


def test_a_compiler_that_is_too_old_is_named(build):
    with pytest.raises(build.SetupError, match=r'(?s)cannot compile c\+\+99.*g\+\+ 11'):
        build.check_compiler('c++99')


def test_a_failed_fast_build_is_followed_by_a_plain_one(build, monkeypatch, tmp_path):
    built, said = [], []

    def fake_build(root, out, log, env, say):
        combined = bool(list(Path(root).glob('combined')))
        built.append(combined)
        if combined:
            return 1
        out.mkdir(exist_ok=True)
        (out / 'mmcv-2.0.1-cp311-cp311-linux_x86_64.whl').write_text('wheel')
        return 0

    monkeypatch.setattr(build, 'check_compiler', lambda standard: None)
    monkeypatch.setattr(build, 'patch_sources', lambda *args: None)
    monkeypatch.setattr(build, 'combine_sources', lambda root: (root / 'combined').touch())
    monkeypatch.setattr(build, 'run_build', fake_build)

    def fake_unpack(archive, folder):
        folder.mkdir()
        return folder

    monkeypatch.setattr(build, 'unpack', fake_unpack)
    wheel = build.build_wheel(tmp_path / 'out', None, said.append, sdist='archive')
    assert built == [True, False] and wheel.read_text() == 'wheel'
    assert 'fast build failed' in said[0]


# -------------------------------------------------------------------------------- which versions


def test_the_range_of_torch_is_that_of_the_package(setup_env):
    (low, high) = setup_env.TORCH_RANGE
    assert HOSTS['torch'] == f'>={low[0]}.{low[1]},<{high[0]}.{high[1] + 1}'
    assert setup_env.in_range(setup_env.TORCH)


def test_the_pins_are_within_the_ranges_of_the_package(setup_env):
    from packaging.requirements import Requirement

    pins = [Requirement(pin) for pin in (*setup_env.PINS, f'mmcv=={setup_env.MMCV_VERSION}')]
    for pin in pins:
        version = next(iter(pin.specifier)).version
        assert Requirement(f'{pin.name}{HOSTS[pin.name]}').specifier.contains(version)


def test_it_installs_what_the_package_asks_for(setup_env):
    # Read from setup.py without running it; the hosts have their own steps.
    from packaging.requirements import Requirement

    ours = {Requirement(text).name for text in setup_env.requirements()}
    assert {'editdistance', 'tensorboard', 'pytest'} <= ours and not ours & set(HOSTS)
    try:
        declared = importlib.metadata.requires('mmocr_da')
    except importlib.metadata.PackageNotFoundError:
        pytest.skip('mmocr_da is on the path, but not installed')
    # Linters have a folder of their own, see tools/lint.py; DRRG is for those who train it, and the
    # site for those who build it.
    left_out = [f'extra == "{extra}"' for extra in ('dev', 'drrg', 'docs')]
    needed = {
        r.name
        for r in map(Requirement, declared)
        if not any(extra in str(r.marker) for extra in left_out)
    }
    assert needed == ours | set(HOSTS)


@pytest.mark.parametrize(
    'version, gpu, system, expected',
    [
        (None, False, 'Linux', ['https://download.pytorch.org/whl/cpu', None]),
        (None, True, 'Linux', [None]),
        (None, False, 'Darwin', [None]),
        ('2.13.0', False, 'Linux', [None]),
        ('2.13.0+cpu', True, 'Linux', ['https://download.pytorch.org/whl/cpu', None]),
        ('2.11.0+cu130', True, 'Linux', ['https://download.pytorch.org/whl/cu130', None]),
    ],
)
def test_torchvision_comes_from_where_the_torch_is_from(setup_env, version, gpu, system, expected):
    assert setup_env.torch_indexes(version, gpu, system) == expected
    assert setup_env.torch_indexes(version, gpu, system, 'https://mine') == ['https://mine']


# ------------------------------------------------------------------------------------ idempotence


def test_a_set_up_environment_is_left_alone(setup_env):
    there = probe(torch='2.13.0+cpu', mmcv='2.0.1')
    stamp = json.loads(json.dumps(setup_env.state(there)))
    assert setup_env.is_satisfied(stamp, there)


@pytest.mark.parametrize(
    'change',
    [
        dict(torch='2.12.0+cpu', mmcv='2.0.1'),
        dict(torch='2.13.0+cpu'),
        dict(torch='2.13.0+cpu', mmcv='2.0.1', imgaug='0.4.0'),
    ],
)
def test_any_change_since_the_check_calls_for_another(setup_env, change):
    before = probe(torch='2.13.0+cpu', mmcv='2.0.1')
    stamp = setup_env.state(before)
    assert not setup_env.is_satisfied(stamp, probe(**change))
    assert not setup_env.is_satisfied({**stamp, 'recipe': 'of another version'}, before)
    assert not setup_env.is_satisfied(None, before)


def test_a_cuda_compiler_that_came_later_calls_for_another(setup_env, monkeypatch):
    monkeypatch.setattr(setup_env, 'has_nvidia_gpu', lambda: True)
    monkeypatch.setattr(setup_env, 'has_nvcc', lambda: False)
    there = probe(torch='2.13.0', mmcv='2.0.1')
    stamp = setup_env.state(there)
    assert setup_env.is_satisfied(stamp, there)
    monkeypatch.setattr(setup_env, 'has_nvcc', lambda: True)
    assert not setup_env.is_satisfied(stamp, there)


@pytest.fixture
def install_torch(setup_env, monkeypatch, tmp_path):
    """What pip is told, by what is installed, whether torchvision fits, what can be reached."""

    def run(found, fits, reachable):
        told = []
        setup = setup_env.Setup(tmp_path)
        monkeypatch.setattr(setup, 'pip', lambda *arguments, what: told.append(' '.join(arguments)))
        monkeypatch.setattr(setup, 'ask', lambda code: fits)
        monkeypatch.setattr(setup_env, 'reachable', lambda index: reachable)
        monkeypatch.setattr(setup_env, 'has_nvidia_gpu', lambda: False)
        monkeypatch.setattr(setup_env.platform, 'system', lambda: 'Linux')
        setup.install_torch(probe(**found))
        assert told.pop() == ' '.join(setup_env.BUILD_TOOLS)
        return told

    return run


CPU = '--index-url https://download.pytorch.org/whl/cpu'
VISION = '--no-deps --force-reinstall torchvision==0.28.0'


@pytest.mark.parametrize(
    'found, fits, reachable, told',
    [
        ({}, False, True, [f'{CPU} torch==2.13.0', f'{CPU} {VISION}']),
        ({}, False, False, ['torch==2.13.0', VISION]),
        (dict(torch='2.13.0+cpu', torchvision='0.28.0'), True, True, []),
        (dict(torch='2.13.0+cpu', torchvision='0.28.0'), False, True, [f'{CPU} {VISION}']),
        (dict(torch='2.13.0+cpu', torchvision='0.28.0'), False, False, []),
        (dict(torch='2.13.0', torchvision='0.28.0'), False, True, [VISION]),
        (dict(torch='2.13.0+cpu', torchvision='0.20.0'), True, False, [VISION]),
        (dict(torch='2.13.0+cpu'), False, False, [VISION]),
    ],
)
def test_torchvision_is_the_build_that_fits_the_torch(install_torch, found, fits, reachable, told):
    assert install_torch(found, fits, reachable) == told


@pytest.mark.parametrize('fits, notes', [(True, 0), (False, 1)])
def test_what_does_not_work_is_said_after_what_does(
    setup_env, monkeypatch, tmp_path, capsys, fits, notes
):
    setup = setup_env.Setup(tmp_path)
    setup.python = sys.executable
    monkeypatch.setattr(setup_env, 'CHECK', 'print("torch 2.13.0")')
    monkeypatch.setattr(setup, 'ask', lambda code: fits)
    setup.check()
    said = capsys.readouterr().err.splitlines()
    assert 'works: torch 2.13.0' in said[0] and len(said) == 1 + notes
    assert not notes or 'note: torchvision is built for another torch' in said[1]


def test_the_check_starts_as_the_tools_of_mmocr_do(setup_env):
    code = setup_env.CHECK
    lines = [line for line in code.splitlines() if line.startswith(('from', 'import'))]
    assert 'mmengine.runner' in lines[2] and lines[-1] == 'import mmocr_da'


KEY = 'mmcv2.0.1-r1-py3.11-torch2.13.0+cpu-nocuda-x86_64'


@pytest.mark.parametrize(
    'version, origin, expected',
    [
        (None, None, True),
        ('2.1.0', None, True),
        ('2.0.1', None, False),  # built by the user
        ('2.0.1', 'file:///tmp/mmcv-2.0.1-cp311-cp311-linux_x86_64.whl', False),
        ('2.0.1', f'file:///home/x/.cache/mmocr_da/wheels/{KEY.replace("+", "%2B")}/m.whl', False),
        ('2.0.1', f'file:///home/x/.cache/mmocr_da/wheels/{KEY}/m.whl', False),
        ('2.0.1', 'file:///home/x/.cache/mmocr_da/wheels/mmcv2.0.1-torch2.12/m.whl', True),
    ],
)
def test_mmcv_is_replaced_only_if_it_does_not_fit(setup_env, version, origin, expected):
    there = probe()
    if version:
        there['found']['mmcv'] = [version, json.dumps(dict(url=origin)) if origin else None]
    assert setup_env.needs_mmcv(there, KEY) is expected


def test_a_wheel_in_the_cache_is_used_if_it_is_whole(setup_env, tmp_path):
    wheel = tmp_path / 'mmcv-2.0.1-cp311-cp311-linux_x86_64.whl'
    assert setup_env.cached_wheel(tmp_path) is None
    with zipfile.ZipFile(wheel, 'w') as archive:
        archive.writestr('mmcv/_ext.so', bytes(range(256)) * 40)
    assert setup_env.cached_wheel(tmp_path) == wheel
    content = bytearray(wheel.read_bytes())
    content[500] ^= 1
    wheel.write_bytes(content)
    assert setup_env.cached_wheel(tmp_path) is None and not wheel.exists()


def test_an_incomplete_distribution_is_found(setup_env, tmp_path):
    site = tmp_path / 'site'
    for name, files, installer in (
        ('whole', ['whole.py'], 'pip'),
        ('cut', ['cut.py'], None),
        ('torn', ['torn.py', 'lost.py'], 'pip'),
    ):
        info = site / f'{name}-1.0.dist-info'
        info.mkdir(parents=True)
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n')
        (info / 'RECORD').write_text(''.join(f'{file},,\n' for file in files))
        (site / files[0]).touch()
        if installer:
            (info / 'INSTALLER').write_text(installer)
    code = (
        'import sysconfig; sysconfig.get_path = lambda name: sys.argv[1]'
        + setup_env.PROBE.replace('import importlib', '\nimport importlib', 1)
    )
    result = subprocess.run(
        [sys.executable, '-c', f'import sys; {code}', str(site), '--files'],
        text=True,
        capture_output=True,
        check=True,
    )
    answer = json.loads(result.stdout)
    assert sorted(answer['damaged']) == [['cut', '1.0'], ['torn', '1.0']]
    assert sorted(answer['found']) == ['cut', 'torn', 'whole']


def test_a_stamp_is_whole_or_absent(setup_env, tmp_path):
    path = tmp_path / 'stamp.json'
    assert setup_env.read_json(path) is None
    path.write_text('{"recipe": ')
    assert setup_env.read_json(path) is None
    setup_env.write_json(path, dict(recipe='x'))
    assert setup_env.read_json(path) == dict(recipe='x') and list(tmp_path.glob('stamp*')) == [path]


# ----------------------------------------------------------------------------- environment, errors


def test_the_active_environment_is_used_else_one_of_its_own(setup_env, monkeypatch):
    choose = setup_env.choose_environment
    assert choose('here', {'VIRTUAL_ENV': '/venv'}) == Path.cwd() / 'here'
    assert choose(None, {'VIRTUAL_ENV': '/venv', 'CONDA_PREFIX': '/conda'}) == Path('/venv')
    assert choose(None, {'CONDA_PREFIX': '/conda', 'CONDA_DEFAULT_ENV': 'x'}) == Path('/conda')
    monkeypatch.setattr(sys, 'prefix', sys.base_prefix)
    base = {'CONDA_PREFIX': '/conda', 'CONDA_DEFAULT_ENV': 'base'}
    assert choose(None, base) == choose(None, {}) == TOOLS.parent / '.venv'


def test_an_unsupported_python_is_named_with_what_to_do(setup_env, monkeypatch):
    monkeypatch.setattr(sys, 'version_info', (3, 13, 0))
    monkeypatch.setattr(setup_env.shutil, 'which', lambda name: None)
    with pytest.raises(setup_env.SetupError, match='Python 3.11 or 3.12 is needed.*conda create'):
        setup_env.choose_python()


@pytest.mark.parametrize(
    'output, remedy',
    [
        ('OSError: [Errno 28] No space left on device', 'disk is full'),
        ('g++: fatal error: Killed signal terminated program cc1plus', 'MAX_JOBS=1'),
        ('ERROR: Could not find a version that satisfies the requirement x', 'check the network'),
        ('something else', 'See the log'),
    ],
)
def test_a_failure_says_what_to_do_and_where_the_log_is(setup_env, output, remedy):
    text = setup_env.explain('downloading', output, '/cache/setup.log')
    assert remedy in text and output in text and '/cache/setup.log' in text


def test_two_set_ups_at_once_wait_for_each_other(setup_env):
    pytest.importorskip('fcntl')
    said = []
    code = (
        f'import sys; sys.path.insert(0, {str(TOOLS)!r}); import setup_env\n'
        'with setup_env.lock(lambda text: None): print("inside", flush=True); input()'
    )
    with subprocess.Popen(
        [sys.executable, '-c', code], stdin=subprocess.PIPE, text=True, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == 'inside\n'

        def say(text):
            said.append(text)
            other.stdin.write('\n')  # lets the other one finish
            other.stdin.flush()

        with setup_env.lock(say):
            assert other.wait(timeout=10) == 0
    assert said == ['another set-up is running; waiting for it']
