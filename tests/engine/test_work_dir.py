import pytest
from mmengine.config import Config

from mmocr_da.engine.work_dir import check_work_dir


@pytest.fixture
def mine(tmp_path):
    (tmp_path / 'base.py').write_text("lr = 1e-3\nmodel = dict(type='A', n=2)")
    (tmp_path / 'mine.py').write_text("_base_ = 'base.py'\nmodel = dict(n=3)  # better\n")
    return tmp_path / 'mine.py'


def load(path, work_dir, **options):
    cfg = Config.fromfile(str(path))
    cfg.merge_from_dict(dict(options, work_dir=str(work_dir)))
    return cfg


@pytest.mark.parametrize('training', [True, False])
def test_a_config_that_somebody_wrote_stays(mine, tmp_path, training):
    cfg = load(mine, tmp_path)
    with pytest.raises(ValueError, match='mine.py is no config that a run has dumped.*--work-dir'):
        check_work_dir(cfg, training)
    # Another config of the same name.
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/mine.py').write_text('import os\n')
    with pytest.raises(ValueError, match='run/mine.py is no config'):
        check_work_dir(load(mine, tmp_path / 'run'), training)


def test_what_a_run_has_dumped_may_be_dumped_and_used_again(mine, tmp_path):
    dumped = tmp_path / 'run/mine.py'
    check_work_dir(load(mine, tmp_path / 'run'), True)
    dumped.parent.mkdir()
    load(mine, tmp_path / 'run').dump(str(dumped))
    assert 'better' not in dumped.read_text()
    check_work_dir(load(mine, tmp_path / 'run'), True)
    check_work_dir(load(dumped, tmp_path / 'run', lr=1.0), True)
    # As another version of MMEngine formats it.
    dumped.write_text(dumped.read_text().replace('model = dict(', 'model = dict(\n        '))
    check_work_dir(load(dumped, tmp_path / 'run'), True)


def test_a_run_does_not_write_over_the_checkpoint_it_starts_from(mine, tmp_path, monkeypatch):
    work_dir = tmp_path / 'run'
    work_dir.mkdir()
    for name in ('iter_4.pth', 'best_recog_epoch_2.pth', 'released.pth'):
        (work_dir / name).touch()
    for start in (work_dir / 'iter_4.pth', work_dir / 'best_recog_epoch_2.pth'):
        cfg = load(mine, work_dir, load_from=str(start))
        with pytest.raises(ValueError, match=f'load_from .* work directory of this run, .*{start}'):
            check_work_dir(cfg, True)
        check_work_dir(cfg, False)
        check_work_dir(load(mine, work_dir, load_from=str(start), resume=True), True)
        check_work_dir(load(mine, tmp_path / 'new', load_from=str(start)), True)
    monkeypatch.chdir(work_dir)
    with pytest.raises(ValueError, match='load_from is a checkpoint in the work directory'):
        check_work_dir(load(mine, '.', load_from='iter_4.pth'), True)
    for start in ('https://host/iter_4.pth', 'released.pth', 'iter_5.pth', None):
        check_work_dir(load(mine, work_dir, load_from=start), True)
