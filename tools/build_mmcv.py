"""Build a wheel of MMCV 2.0.1 with its compiled operators against the installed torch.

MMCV publishes no wheel for a torch later than 2.4, and its source sets C++14 where torch needs
C++17 or C++20.  Nearly all of the time of its 77 compilations is spent on the same torch headers.
So for a CPU torch the sources are combined into a few units: minutes instead of a quarter of an
hour.

Used by ``setup_env.py``; by hand: ``python tools/build_mmcv.py --out DIR`` with the Python of an
environment that has torch, ninja and setuptools<81.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import threading
import time
from pathlib import Path

MMCV_VERSION = '2.0.1'
RECIPE = 1  # part of the cache key: raise it when the same versions would build another wheel
UNITS = 8  # besides the sources of ALONE
CSRC = Path('mmcv', 'ops', 'csrc', 'pytorch')
# pybind.cpp is the slowest by far (it instantiates all bindings) and so goes first; both
# roi_align sources define a template struct PreCalc, with different members.
ALONE = ('pybind.cpp', 'cpu/roi_align_rotated.cpp')
# The headers that the sources include. They come first, so that no macro or
# ``using namespace std`` of a source affects a header.
PRELUDE = """\
#include <torch/types.h>
#include <torch/script.h>
#include <ATen/ATen.h>
#include <ATen/TensorUtils.h>
#include <iostream>
#include <queue>
#include <vector>
#include "pytorch_cpp_helper.hpp"
#include "pytorch_device_registry.hpp"
"""
JOB_GIB = 3  # memory of one compiler process at its peak
BUILD_GIB = 1  # disk for the build tree


class SetupError(RuntimeError):
    """An error that the user can correct; the message says how."""


def cxx_standard(torch_version):
    """The oldest C++ standard that the headers of this torch accept.

    >>> cxx_standard('2.13.0+cpu'), cxx_standard('2.11.0+cu130'), cxx_standard('2.6.0')
    ('c++20', 'c++17', 'c++17')
    """
    # https://github.com/pytorch/pytorch/issues/178150: C++20 syntax from 2.13, #error from 2.14
    major, minor = (int(part) for part in torch_version.split('.')[:2])
    return 'c++20' if (major, minor) >= (2, 13) else 'c++17'


def cache_key(python, torch_version, cuda, machine):
    """Name of the cache folder of a wheel: everything that its build depends on.

    >>> cache_key('3.11', '2.13.0+cpu', None, 'x86_64')
    'mmcv2.0.1-r1-py3.11-torch2.13.0+cpu-nocuda-x86_64'
    """
    cuda = f'cuda{cuda}' if cuda else 'nocuda'
    return f'mmcv{MMCV_VERSION}-r{RECIPE}-py{python}-torch{torch_version}-{cuda}-{machine}'


def group_sources(sizes, units=UNITS):
    """Split ``{source: size}`` into ``units`` lists of about equal size, plus one per ``ALONE``.

    >>> group_sources({'a.cpp': 9, 'b.cpp': 5, 'c.cpp': 4, 'pybind.cpp': 90}, units=2)
    [['pybind.cpp'], ['a.cpp'], ['b.cpp', 'c.cpp']]
    """
    groups = [[] for _ in range(units)]
    totals = [0] * units
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        if name in ALONE:
            continue
        smallest = totals.index(min(totals))
        groups[smallest].append(name)
        totals[smallest] += sizes[name]
    return [[name] for name in ALONE if name in sizes] + [group for group in groups if group]


def own_macros(text):
    """Macros that a source defines and does not undefine.

    >>> own_macros('#define min(a, b) a\\n#define X 1\\n#undef X\\n')
    ['min']
    """
    defined = re.findall(r'^[ \t]*#[ \t]*define[ \t]+(\w+)', text, re.M)
    undefined = re.findall(r'^[ \t]*#[ \t]*undef[ \t]+(\w+)', text, re.M)
    return sorted(set(defined) - set(undefined))


def unit_text(group, texts):
    """Text of a translation unit that includes every source of ``group`` from ``parts/``."""
    # ``using namespace std`` makes names of later sources ambiguous: such a source goes last.
    group = sorted(group, key=lambda name: 'using namespace std' in texts[name])
    lines = [PRELUDE]
    for name in group:
        lines.append(f'#include "parts/{name}"')
        lines += [f'#undef {macro}' for macro in own_macros(texts[name])]
    return '\n'.join(lines) + '\n'


def combine_sources(root, units=UNITS):
    """Replace the sources by combined units; move them where setup.py does not look."""
    csrc = Path(root) / CSRC
    paths = [
        path.relative_to(csrc).as_posix()
        for folder in (csrc, csrc / 'cpu')
        for path in sorted(folder.glob('*.cpp'))
    ]
    texts = {name: (csrc / name).read_text(encoding='utf-8') for name in paths}
    for name in paths:
        target = csrc / 'parts' / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (csrc / name).rename(target)
    for index, group in enumerate(group_sources({n: len(t) for n, t in texts.items()}, units)):
        text = unit_text(group, texts)
        if group[0] in ALONE:
            text = f'#include "parts/{group[0]}"\n'
        (csrc / f'unit{index}.cpp').write_text(text, encoding='utf-8')


def patch_sources(root, torch_version, torch_include):
    """Change the sources of MMCV 2.0.1 so that they compile with a current torch.

    Raises:
        SetupError: If the sources are of another version.
    """
    setup = Path(root) / 'setup.py'
    text = setup.read_text(encoding='utf-8')
    flags = "extra_compile_args['cxx'] = ['-std=c++14']"
    if flags not in text:
        raise SetupError(f'this is not the setup.py of MMCV {MMCV_VERSION}: {setup}')
    # Python's own flags ask for debug symbols, which double the time and the wheel, and for -O3,
    # which costs time and brings nothing on these loops. Ours come later on the command line.
    text = text.replace(flags, flags[:-1] + ", '-O2', '-g0', '-w']")
    # https://github.com/open-mmlab/mmcv/issues/3035
    text = text.replace('-std=c++14', f'-std={cxx_standard(torch_version)}')
    setup.write_text(text, encoding='utf-8')
    # A header of the old THC library; current torch has its functions in ATen.
    if not (Path(torch_include) / 'THC' / 'THCAtomics.cuh').exists():
        for path in (Path(root) / 'mmcv' / 'ops' / 'csrc').rglob('*'):
            if path.suffix in ('.hpp', '.cuh', '.cu'):
                text = path.read_text(encoding='utf-8')
                if '<THC/' in text:
                    path.write_text(
                        text.replace('<THC/THCAtomics.cuh>', '<ATen/cuda/Atomic.cuh>'),
                        encoding='utf-8',
                    )


def max_jobs():
    """Number of compilers to run at once: one per core, fewer if memory is short."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    try:
        memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30
    except (ValueError, OSError, AttributeError):
        memory = 2 * JOB_GIB
    return max(1, min(cores or 1, int(memory // JOB_GIB)))


def check_compiler(standard):
    """Compile a few lines, to find a missing or too old compiler and missing headers.

    Raises:
        SetupError: If one of these is the case.
    """
    compiler = os.environ.get('CXX', 'c++' if shutil.which('c++') else 'g++')
    if shutil.which(compiler.split()[0]) is None:
        raise SetupError(
            f'no C++ compiler ({compiler}) is on the PATH; MMCV has to be compiled once. Install '
            'one (Debian/Ubuntu: apt install g++; conda: conda install gxx_linux-64; macOS: '
            'xcode-select --install) and run this again'
        )
    include = sysconfig.get_paths()['include']
    if not (Path(include) / 'Python.h').exists():
        raise SetupError(
            f'the C headers of Python are missing ({include}/Python.h). Install them '
            f'(Debian/Ubuntu: apt install python3.{sys.version_info[1]}-dev) or use a Python '
            'that has them, and run this again'
        )
    code = '#include <vector>\n#include <Python.h>\nint main() { return 0; }\n'
    result = subprocess.run(
        [*compiler.split(), f'-std={standard}', '-fsyntax-only', f'-I{include}', '-x', 'c++', '-'],
        input=code,
        text=True,
        capture_output=True,
    )
    if result.returncode:
        raise SetupError(
            f'the C++ compiler ({compiler}) cannot compile {standard} code: '
            f'{result.stderr.strip()[-400:]}\nInstall g++ 11 or clang 14 or later (or point CXX '
            'at one) and run this again'
        )


def run_build(root, out, log, env, say):
    """Run MMCV's setup.py, report ninja's ``[k/n]`` every 20 seconds, return the exit status."""
    # Not through pip: its output comes only at the end, and there is nothing to resolve.
    command = [sys.executable, 'setup.py', '-q', 'bdist_wheel', '--dist-dir', str(out)]
    start = time.monotonic()
    state = {'done': ''}
    # In a new session, so that a signal to it reaches ninja, which then stops the compilers.
    with subprocess.Popen(
        command,
        cwd=root,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.STDOUT,
        errors='replace',
        start_new_session=True,
    ) as process:

        def follow():
            for line in process.stdout:
                log.write(line)
                found = re.match(r'\[(\d+/\d+)\]', line)
                if found:
                    state['done'] = f', {found[1]} units'
            log.flush()

        reader = threading.Thread(target=follow, daemon=True)
        reader.start()
        try:
            while True:
                try:
                    process.wait(timeout=20)
                    break
                except subprocess.TimeoutExpired:
                    say(f'  compiling{state["done"]}, {time.monotonic() - start:.0f} s')
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            reader.join(timeout=10)
            raise
        reader.join(timeout=10)
    return process.returncode


def fetch_source(folder, log):
    """Download MMCV's source archive into ``folder``, by pip with its mirrors and proxies.

    Raises:
        SetupError: If the download fails.
    """
    # No build isolation: pip runs its setup.py for the metadata, which needs pkg_resources. An
    # isolated build would no longer have it.
    command = [
        sys.executable,
        '-m',
        'pip',
        'download',
        '--quiet',
        '--no-deps',
        '--no-build-isolation',
        '--no-binary',
        'mmcv',
        '--dest',
        str(folder),
        '--disable-pip-version-check',
        f'mmcv=={MMCV_VERSION}',
    ]
    log.write(f'$ {" ".join(command)}\n')
    log.flush()
    env = dict(os.environ, MMCV_WITH_OPS='1')
    if subprocess.run(command, stdout=log, stderr=log, env=env).returncode:
        raise SetupError(
            f'could not fetch the source of MMCV {MMCV_VERSION} from the package '
            'index: check the network (or pip config, proxy) and run this again'
        )
    return next(Path(folder).glob('mmcv-*.tar.gz'))


def unpack(archive, folder):
    """Unpack the source archive; return the folder of the sources."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter='data')
    return Path(folder) / f'mmcv-{MMCV_VERSION}'


def build_wheel(out, log, say=print, sdist=None, cuda=False, combined=True):
    """Build the wheel into ``out`` for the running Python; return its path.

    Raises:
        SetupError: If it cannot be built; the message says what to do.
    """
    import torch  # the build is against the torch of this very interpreter

    combined = combined and not cuda
    check_compiler(cxx_standard(torch.__version__))
    # MMCV's setup.py builds for CUDA if FORCE_CUDA is set or if it finds a GPU.
    env = dict(os.environ, MMCV_WITH_OPS='1', FORCE_CUDA='1' if cuda else '0')
    if not cuda:
        env['CUDA_VISIBLE_DEVICES'] = ''
    env.setdefault('MAX_JOBS', str(max_jobs()))
    out = Path(out)
    with tempfile.TemporaryDirectory(prefix='mmcv-build-', ignore_cleanup_errors=True) as folder:
        free = shutil.disk_usage(folder).free / 2**30
        if free < BUILD_GIB:
            raise SetupError(
                f'building MMCV needs {BUILD_GIB} GiB in {folder}, {free:.1f} GiB '
                'are free: free some, or set TMPDIR to a folder on a larger disk'
            )
        if sdist is None:
            sdist = fetch_source(folder, log)
        # The built wheel moves to ``out`` only when complete.
        for attempt in [True, False] if combined else [False]:
            root = unpack(sdist, Path(folder) / ('combined' if attempt else 'plain'))
            include = Path(torch.__file__).parent / 'include'
            patch_sources(root, torch.__version__, include)
            if attempt:
                combine_sources(root)
            code = run_build(root, Path(folder) / 'dist', log, env, say)
            wheels = sorted((Path(folder) / 'dist').glob('mmcv-*.whl'))
            if code == 0 and wheels:
                out.mkdir(parents=True, exist_ok=True)
                return Path(shutil.move(wheels[0], out / wheels[0].name))
            if attempt:
                say(
                    'the fast build failed; building each source by itself (about 12 minutes on '
                    '2 cores)'
                )
    raise SetupError(
        'compiling MMCV failed; the end of the log says why. Out of memory shows '
        'as "Killed": set MAX_JOBS=1 and run this again'
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', required=True, help='folder for the wheel')
    parser.add_argument('--sdist', help='the source archive, if it is here already')
    parser.add_argument('--log', default=os.devnull, help='file for the output of the compiler')
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument('--cpu', action='store_true', help='operators for the CPU (default)')
    kind.add_argument('--cuda', action='store_true', help='for CPU and GPU; needs nvcc')
    parser.add_argument('--plain', action='store_true', help='one unit per source (slow)')
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with open(args.log, 'a', encoding='utf-8') as log:
            print(
                build_wheel(
                    args.out,
                    log,
                    lambda text: print(text, file=sys.stderr, flush=True),
                    args.sdist,
                    cuda=args.cuda,
                    combined=not args.plain,
                )
            )
    except KeyboardInterrupt:
        sys.exit(130)
    except SetupError as error:
        sys.exit(f'build_mmcv.py: {error}')


if __name__ == '__main__':
    main()
