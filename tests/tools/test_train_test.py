import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers import tools
from helpers.processes import run_ranks
from mmengine.config import Config
from mmocr.apis import TextRecInferencer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmocr_da.engine import launch

TOOLS = Path(__file__).parents[2] / 'tools'
SCALARS = (
    'global_lambda',
    'local_lambda',
    'global_acc_source',
    'global_acc_target',
    'local_gate_source',
    'local_gate_target',
)


def weights(work_dir, iteration=2):
    return torch.load(work_dir / f'iter_{iteration}.pth', weights_only=False)['state_dict']


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) for key in first
    )


def scalars(work_dir):
    (file,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_losses_and_error_rates_of_both_domains_are_logged(trained):
    first, second, validation = scalars(trained)
    assert (first['step'], second['step'], validation['step']) == (1, 2, 2)
    for domain in ('source', 'target'):
        assert validation[f'{domain}/recog/cer'] > 0
        assert 0 <= validation[f'{domain}/recog/word_acc'] <= 1


def test_scalars_without_loss_in_their_name_are_logged_but_not_summed(trained):
    for row in scalars(trained)[:2]:
        assert set(SCALARS) <= row.keys()
        parts = [value for key, value in row.items() if 'loss' in key and key != 'loss']
        assert len(parts) == 3
        assert row['loss'] == pytest.approx(sum(parts))
    (log,) = trained.glob('*/*.log')
    line = [line for line in log.read_text().splitlines() if 'Iter(train) [2/2]' in line][0]
    assert all(f'{name}: ' in line for name in SCALARS)


def test_tensorboard_gets_every_scalar(trained):
    (folder,) = trained.glob('*/vis_data')
    events = EventAccumulator(str(folder)).Reload()
    assert {'loss', 'target/recog/cer', *SCALARS} <= set(events.Tags()['scalars'])


def test_the_seed_decides_the_weights(toy, trained, run_tool, tmp_path):
    same_seed, other_seed = tmp_path / 'same', tmp_path / 'other'
    run_tool('train', toy, '--work-dir', same_seed, '--seed', 1)
    run_tool('train', toy, '--work-dir', other_seed, '--seed', 2)
    assert same(weights(trained), weights(same_seed))
    assert not same(weights(trained), weights(other_seed))


def test_resume_continues_the_run_and_not_load_from(toy, trained, run_tool, tmp_path):
    start = tmp_path / 'source_only.pth'
    torch.save(dict(state_dict=weights(trained)), start)
    # What a config of an adaptation has; `--resume` must not take it for the run.
    options = ['--work-dir', tmp_path / 'run', '--cfg-options', f'load_from={start}']
    run_tool('train', toy, *options, 'train_cfg.max_iters=1')
    assert not (tmp_path / 'run' / 'iter_2.pth').exists()
    run_tool('train', toy, '--resume', *options)

    run_tool(
        'train', toy, '--work-dir', tmp_path / 'straight', '--cfg-options', f'load_from={start}'
    )
    assert same(weights(tmp_path / 'run'), weights(tmp_path / 'straight'))


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            ['--cfg-options', 'load_from=/no/such.pth'],
            "load_from must .* got '/no/such.pth', which",
        ),
        (['--resume', '/no/such.pth'], "--resume must be a checkpoint file, got '/no/such.pth'"),
        (['--auto-scale-lr'], '--auto-scale-lr needs auto_scale_lr.base_batch_size'),
    ],
)
def test_what_cannot_work_stops_before_a_run_exists(toy, run_tool, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        run_tool('train', toy, '--work-dir', tmp_path / 'run', *arguments)
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('name', ['train', 'test'])
def test_a_missing_config_is_an_error_that_names_it(run_tool, name):
    with pytest.raises(ValueError, match="config must be an existing file, got '/no/such.py'"):
        run_tool(name, '/no/such.py', *(['a.pth'] if name == 'test' else []))


@pytest.mark.parametrize(
    'wanted', [['--amp'], ['--cfg-options', 'optim_wrapper.type=AmpOptimWrapper']]
)
def test_mixed_precision_without_a_gpu_is_an_error(toy, run_tool, tmp_path, monkeypatch, wanted):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
    with pytest.raises(ValueError, match='needs a GPU, got a machine without one'):
        run_tool('train', toy, '--work-dir', tmp_path / 'run', *wanted)


def test_test_repeats_the_validation_and_dumps_every_prediction(toy, trained, run_tool, tmp_path):
    run_tool('test', toy, trained / 'iter_2.pth', '--work-dir', tmp_path, '--save-preds')
    (file,) = tmp_path.glob('*/*.json')
    metrics = json.loads(file.read_text())
    validation = scalars(trained)[-1]
    keys = [key for key in validation if '/recog/' in key]
    assert len(keys) == 16
    assert {key: metrics[key] for key in keys} == {key: validation[key] for key in keys}
    predictions = pickle.loads((tmp_path / 'iter_2.pth_predictions.pkl').read_bytes())
    names = [Path(p['img_path']).stem for p in predictions]
    assert names == [f'{d}_{i}' for d in ('source', 'target') for i in range(6)]


def test_predictions_of_the_user_are_not_overwritten(toy, trained, run_tool, tmp_path):
    mine = tmp_path / 'iter_2.pth_predictions.pkl'
    mine.write_text('mine')
    with pytest.raises(ValueError, match='predictions.pkl exists and was not written by Dump'):
        run_tool('test', toy, trained / 'iter_2.pth', '--work-dir', tmp_path, '--save-preds')
    assert mine.read_text() == 'mine' and not list(tmp_path.glob('*/*.json'))
    mine.unlink()
    for _ in range(2):
        run_tool('test', toy, trained / 'iter_2.pth', '--work-dir', tmp_path, '--save-preds')
    assert len(pickle.loads(mine.read_bytes())) == 12


@pytest.mark.parametrize('tool', [['train'], ['test', 'iter_2.pth']])
def test_the_config_in_a_work_dir_is_not_overwritten(toy, trained, run_tool, tmp_path, tool):
    config = tmp_path / 'mine.py'
    config.write_text(f'_base_ = {str(toy)!r}  # and more')
    with pytest.raises(ValueError, match='mine.py is no config that a run has dumped'):
        run_tool(tool[0], config, *[trained / path for path in tool[1:]], '--work-dir', tmp_path)
    assert config.read_text().endswith('# and more')


@pytest.mark.parametrize('given', [None, 'DejaVu Serif'])
def test_painted_texts_have_a_font_for_the_dictionary(toy, load_tool, monkeypatch, given):
    tool, asked = load_tool('test'), []
    monkeypatch.setattr(tool, 'font_file', lambda *args: asked.append(args) or 'korean.ttf')
    cfg = Config.fromfile(str(toy))
    tool.set_font(cfg, given)
    assert asked == [([*'0123456789'], given)]
    assert cfg.visualizer.font_properties == 'korean.ttf'
    cfg.visualizer.font_properties = 'mine.ttf'
    tool.set_font(cfg, None)
    assert cfg.visualizer.font_properties == 'mine.ttf' and len(asked) == 1


def test_test_paints_every_image(toy, trained, run_tool, tmp_path):
    # A second visualizer of the same name would be the first one, with its folder.
    run_tool(
        'test',
        toy,
        trained / 'iter_2.pth',
        '--work-dir',
        tmp_path / 'run',
        '--show-dir',
        tmp_path / 'shown',
        '--cfg-options',
        'visualizer.name=painter',
    )
    (folder,) = (tmp_path / 'shown').iterdir()
    assert re.fullmatch(r'\d{8}_\d{6}', folder.name)
    assert len(list(folder.rglob('*.png'))) == 12


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--tta'], '--tta needs tta_pipeline in the config'),
        (['--show', '--cfg-options', 'default_hooks={}'], 'need default_hooks.visualization'),
    ],
)
def test_test_says_what_the_config_lacks(toy, trained, run_tool, arguments, message):
    with pytest.raises(ValueError, match=message):
        run_tool('test', toy, trained / 'iter_2.pth', *arguments)


def test_a_font_without_a_picture_is_an_error(toy, run_tool, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run_tool('test', toy, tmp_path / 'toy.pth', '--font', 'DejaVu Serif')
    assert '--font needs --show or --show-dir' in capsys.readouterr().err


def train_of_rank(rank, toy, work_dir):
    tools.run_tool(
        'train',
        toy,
        '--launcher',
        'pytorch',
        '--work-dir',
        work_dir,
        '--cfg-options',
        'train_dataloader.batch_size=2',
        'train_dataloader.sampler.batch_size=2',
    )
    return torch.distributed.get_world_size()


@pytest.mark.skipif(torch.cuda.is_available(), reason='the ranks would want a GPU each')
def test_what_two_processes_measure_one_measures_alone(toy, run_tool, tmp_path):
    assert run_ranks(train_of_rank, toy, tmp_path / 'two') == [2, 2]
    run_tool('test', toy, tmp_path / 'two' / 'iter_2.pth', '--work-dir', tmp_path / 'one')
    (file,) = (tmp_path / 'one').glob('*/*.json')
    alone, together = json.loads(file.read_text()), scalars(tmp_path / 'two')[-1]
    keys = [key for key in together if '/recog/' in key]
    assert keys and {key: alone[key] for key in keys} == {key: together[key] for key in keys}


@pytest.mark.slow
def test_the_script_trains_in_two_processes_without_a_gpu(toy, tmp_path):
    env = dict(
        os.environ,
        CUDA_VISIBLE_DEVICES='-1',
        OMP_NUM_THREADS='1',
        PORT='29671',
        PATH=os.path.dirname(sys.executable) + os.pathsep + os.environ['PATH'],
    )
    command = [
        'bash',
        TOOLS / 'dist_train.sh',
        toy,
        '2',
        '--work-dir',
        tmp_path / 'two',
        '--cfg-options',
        'train_dataloader.batch_size=2',
        'train_dataloader.sampler.batch_size=2',
    ]
    done = subprocess.run(
        list(map(str, command)), env=env, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'GPU number: 2' in done.stdout + done.stderr
    assert any('/recog/' in key for key in scalars(tmp_path / 'two')[-1])


def processes_with(mark):
    """``{pid: environment}`` of the processes that have a variable."""
    found = {}
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            pairs = (folder / 'environ').read_bytes().decode(errors='ignore').split('\0')
        except OSError:  # it has ended, or is another user's
            continue
        if mark in pairs:
            found[int(folder.name)] = dict(pair.split('=', 1) for pair in pairs if '=' in pair)
    return found


def wait_for(condition, seconds=600):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(0.2)
    return found


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_killed_rank_leaves_no_process_and_a_rerun_resumes(toy, tmp_path):
    mark = f'MMOCR_DA_TEST={tmp_path}'
    env = dict(
        os.environ,
        CUDA_VISIBLE_DEVICES='-1',
        OMP_NUM_THREADS='1',
        PORT='29672',
        MMOCR_DA_TEST=str(tmp_path),
        PATH=os.path.dirname(sys.executable) + os.pathsep + os.environ['PATH'],
    )
    work_dir, log = tmp_path / 'two', tmp_path / 'log.txt'
    command = ['bash', TOOLS / 'dist_train.sh', toy, '2', '--work-dir', work_dir, '--resume']
    command += ['--cfg-options', 'train_dataloader.batch_size=2']
    command += ['train_dataloader.sampler.batch_size=2', 'train_cfg.max_iters=40']
    command += ['train_cfg.val_interval=1000', 'default_hooks.checkpoint.interval=5']
    command = list(map(str, command))
    with open(log, 'w') as file:
        run = subprocess.Popen(command, env=env, cwd=tmp_path, stdout=file, stderr=file)
        wait_for(lambda: (work_dir / 'last_checkpoint').exists() or run.poll() is not None)
        ranks = {environment.get('RANK'): pid for pid, environment in processes_with(mark).items()}
        os.kill(ranks['1'], signal.SIGKILL)
        assert run.wait(600) != 0
    wait_for(lambda: not processes_with(mark))
    assert not (work_dir / 'iter_40.pth').exists()

    done = subprocess.run(
        command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'resumed epoch' in done.stdout + done.stderr
    assert (work_dir / 'iter_40.pth').exists() and not processes_with(mark)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='there it would train')
def test_slurm_without_a_gpu_is_explained(toy, tmp_path):
    """``srun`` runs what follows its own options."""
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/bash\nwhile [[ $1 != python ]]; do shift; done\nexec "$@"\n')
    srun.chmod(0o755)
    folders = [str(tmp_path), os.path.dirname(sys.executable), os.environ['PATH']]
    env = dict(os.environ, PATH=os.pathsep.join(folders), GPUS='1', SLURM_PROCID='0')
    command = ['bash', TOOLS / 'slurm_train.sh', 'part', 'job', toy, tmp_path / 'run']
    done = subprocess.run(
        list(map(str, command)), env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode != 0
    assert "launcher must be 'none' or 'pytorch' (torchrun), got 'slurm'" in done.stderr


@pytest.mark.parametrize(
    'script, program, arguments, expected',
    [
        (
            'dist_train.sh',
            'python',
            ['my cfg.py', '2', '--cfg-options', 'a=b c'],
            [
                '--nproc_per_node=2',
                'train.py',
                'my cfg.py',
                '--launcher',
                'pytorch',
                '--cfg-options',
                'a=b c',
            ],
        ),
        (
            'dist_test.sh',
            'python',
            ['cfg.py', 'my ckpt.pth', '4', '--tta'],
            [
                '--nproc_per_node=4',
                'test.py',
                'cfg.py',
                'my ckpt.pth',
                '--launcher',
                'pytorch',
                '--tta',
            ],
        ),
        (
            'slurm_train.sh',
            'srun',
            ['part', 'job', 'my cfg.py', 'work dir', '--amp'],
            [
                'part',
                '--job-name=job',
                '--qos=a',
                '--mem=1',
                'train.py',
                'my cfg.py',
                '--work-dir=work dir',
                '--launcher=slurm',
                '--amp',
            ],
        ),
        (
            'slurm_test.sh',
            'srun',
            ['part', 'job', 'cfg.py', 'my ckpt.pth', '--tta'],
            [
                'part',
                '--job-name=job',
                '--qos=a',
                '--mem=1',
                'test.py',
                'cfg.py',
                'my ckpt.pth',
                '--launcher=slurm',
                '--tta',
            ],
        ),
    ],
)
def test_scripts_pass_their_arguments_on_in_order(tmp_path, script, program, arguments, expected):
    fake = tmp_path / program
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"')
    fake.chmod(0o755)
    env = dict(os.environ, PATH=f'{tmp_path}:{os.environ["PATH"]}', SRUN_ARGS='--qos=a --mem=1')
    done = subprocess.run(
        ['bash', str(TOOLS / script), *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    passed = [line.replace(f'{TOOLS}/', '') for line in done.stdout.splitlines()]
    assert [argument for argument in passed if argument in expected] == expected


def test_both_predictions_of_symnet_are_validated_tested_and_inferred(toy, run_tool, tmp_path):
    text = toy.read_text().replace('{{ fileDirname }}', str(toy.parent))
    start = text.index('objectives=[')
    end = text.index('],\n', start)
    text = text[:start] + "objectives=[dict(type='mmocr_da.SymNetHead')" + text[end:]
    text = text.replace(
        "metrics=[dict(type='mmocr_da.TextErrorMetric')]",
        """metrics=[
        dict(type='mmocr_da.TextErrorMetric'),
        dict(type='mmocr_da.TextErrorMetric', prediction='pred_text_source', prefix='C_s'),
        dict(type='mmocr_da.TextErrorMetric', prediction='pred_text_target', prefix='C_t')]""",
    )
    config = tmp_path / 'symnet_toy.py'
    config.write_text(text)
    run_tool('train', config, '--work-dir', tmp_path / 'run')
    wanted = {
        f'{domain}/{who}/wer' for domain in ('source', 'target') for who in ('recog', 'C_s', 'C_t')
    }
    validated = {k: v for row in scalars(tmp_path / 'run') for k, v in row.items() if k in wanted}
    assert validated.keys() == wanted
    assert validated['target/recog/wer'] == validated['target/C_t/wer']

    checkpoint = tmp_path / 'run/iter_2.pth'
    run_tool('test', config, checkpoint, '--work-dir', tmp_path / 'test')
    tested = json.loads(next((tmp_path / 'test').glob('*/*.json')).read_text())
    assert {k: tested[k] for k in wanted} == pytest.approx(validated)
    reader = TextRecInferencer(str(config), str(checkpoint), device='cpu')
    assert isinstance(reader(str(toy.parent / 'target_0.png'))['predictions'][0]['text'], str)
