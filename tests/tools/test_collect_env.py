"""The versions for a report of a bug, also from an installation that does not work."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import yaml

from mmocr_da.version import HOSTS, __version__

ROOT = Path(__file__).resolve().parents[2]
FORMS = ROOT / '.github' / 'ISSUE_TEMPLATE'


def test_it_prints_the_versions(load_tool, capsys):
    load_tool('collect_env').main()
    printed = dict(line.split(': ', 1) for line in capsys.readouterr().out.splitlines())
    assert printed['mmocr_da'].split(', ')[0] == __version__
    for name, wanted in HOSTS.items():
        assert printed[name] == f'{importlib.metadata.version(name)} (wanted: {wanted})'
    assert printed['Python'].startswith(sys.version.split()[0])


def test_it_works_without_any_host(tmp_path):
    script = ROOT / 'tools' / 'collect_env.py'
    out = subprocess.check_output([sys.executable, '-S', '-I', script], text=True, cwd=tmp_path)
    assert f'mmocr_da: {__version__}' in out
    assert 'mmocr: none (wanted: ==1.0.1)' in out and 'MMEngine: ModuleNotFoundError' in out


def test_the_forms_ask_for_it():
    forms = {path.stem: yaml.safe_load(path.read_text()) for path in FORMS.glob('*.yml')}
    assert set(forms) == {'bug', 'configuration', 'method'}  # `config` is GitHub's own
    for form in forms.values():
        assert form['name'] and form['description']
        ids = [part['id'] for part in form['body'] if 'id' in part]
        assert len(ids) == len(set(ids))
        for part in form['body']:
            assert part['type'] in {'markdown', 'textarea', 'input', 'dropdown', 'checkboxes'}
    for name in ('bug', 'configuration'):
        texts = [str(part['attributes']) for part in forms[name]['body']]
        assert any('python tools/collect_env.py' in text for text in texts)
