import pytest
from mmengine.config import Config

from mmocr_da.reporting.configs import base_files, config_section, flat, settings_of
from mmocr_da.visualization.page import Diff


def test_the_diff_is_what_the_user_has_written(tmp_path):
    (tmp_path / 'base.py').write_text('model = dict(a=1, b=2)\ntrain_cfg = dict(max_iters=5)\n')
    (tmp_path / 'other.py').write_text('load_from = None\n')
    file = tmp_path / 'mine.py'
    file.write_text("_base_ = ['base.py', 'other.py']\nmodel = dict(b=3)\nhelper = 4\n")
    assert [path.name for path in base_files(str(file))] == ['base.py', 'other.py']
    paragraph, diff = config_section(Config.fromfile(str(file)), str(file)).blocks
    assert 'base.py, other.py' in paragraph.text
    assert [line for line in diff.lines if line[0] in '+-'] == [
        '-model = dict(a=1, b=2)',
        '+model = dict(a=1, b=3)',
    ]
    assert diff.summary == '1 lines added, 1 removed'


def test_the_same_settings_have_no_diff(tmp_path):
    (tmp_path / 'base.py').write_text('model = dict(a=1)\n')
    (tmp_path / 'mine.py').write_text("_base_ = 'base.py'\nunused = 1\n")
    blocks = config_section(Config.fromfile(str(tmp_path / 'mine.py')), str(tmp_path / 'mine.py'))
    assert not any(isinstance(block, Diff) for block in blocks.blocks)
    assert 'the same' in blocks.blocks[-1].text


def test_a_config_of_this_package_is_found_by_its_name():
    file = 'small_self-training-assda.py'
    section = config_section(Config(dict(model=dict(type='X'))), file)
    assert 'small_augmented.py' in section.blocks[0].text


@pytest.mark.parametrize(
    'name, message',
    [('nobody_has_it.py', 'must be a file or the name of a config'), ('', 'builds on no other')],
)
def test_a_config_without_a_base_is_an_error(tmp_path, name, message):
    (tmp_path / 'alone.py').write_text('x = 1\n')
    with pytest.raises(ValueError, match=message):
        config_section(Config(dict(x=1)), name or str(tmp_path / 'alone.py'))


def test_only_settings_of_the_runner_count():
    cfg = Config(dict(model=1, work_dir='x', launcher='none', resume=True, _helper=2, randomness=3))
    assert settings_of(cfg) == dict(model=1, randomness=3)


def test_settings_have_the_names_of_cfg_options():
    cfg = Config(dict(model=dict(objectives=[dict(weight=0.5), dict(sizes=[1, 2])]), x=dict()))
    assert dict(flat(dict(cfg))) == {
        'model.objectives.0.weight': 0.5,
        'model.objectives.1.sizes': [1, 2],
        'x': {},
    }
    changed = Config(cfg.to_dict())
    changed.merge_from_dict({'model.objectives.0.weight': 0.25})
    assert dict(flat(dict(changed)))['model.objectives.0.weight'] == 0.25
