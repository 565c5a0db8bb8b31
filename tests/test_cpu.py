"""Settings of a process that trains on the CPU; those of the user win."""

import os
import subprocess
import sys

import pytest

from mmocr_da import cpu


def python(code, **settings):
    """What a fresh interpreter prints with only these settings of OpenMP and malloc."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(('OMP_WAIT', 'GOMP_', 'MALLOC_', 'GLIBC_'))
    }
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**environ, **settings},
    )
    assert result.returncode == 0, result.stdout[-2000:]
    return result.stdout


def test_openmp_is_told_before_it_is_loaded():
    shown = python('import mmocr_da', OMP_DISPLAY_ENV='verbose')
    if 'GOMP_SPINCOUNT' not in shown:
        pytest.skip('the OpenMP of this torch is not that of GNU')
    assert f"GOMP_SPINCOUNT = '{cpu.SPINS}'" in shown


@pytest.mark.parametrize('settings', [dict(GOMP_SPINCOUNT='7'), dict(OMP_WAIT_POLICY='ACTIVE')])
def test_settings_of_openmp_stay(monkeypatch, settings):
    for name in ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY'):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    cpu.spin_briefly()
    assert dict(os.environ) == before


def test_a_machine_with_a_gpu_stays_as_it_is(monkeypatch):
    for name in ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cpu.Path, 'exists', lambda path: True)
    cpu.spin_briefly()
    assert 'GOMP_SPINCOUNT' not in os.environ


FAULTS = """
import resource, sys
sys.path.insert(0, {folder!r})
import cpu
import numpy as np
assert cpu.keep_memory() is {kept}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(48 << 20, np.uint8)  # more than malloc ever keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='glibc')
def test_memory_is_kept_unless_malloc_has_settings():
    folder = os.path.dirname(cpu.__file__)
    kept = python(FAULTS.format(folder=folder, kept=True))
    given_back = python(FAULTS.format(folder=folder, kept=False), MALLOC_TOP_PAD_='0')
    assert 10 * int(kept) < int(given_back)
