"""What the package promises of a whole run: no target labels, and nothing lost by a kill."""

import json
import os
import pickle
import random
import shutil
import signal
import time
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest
import torch
from helpers.detectors import CHANNELS, narrow
from helpers.processes import CONTEXT
from helpers.tools import TOOLS, run_tool
from mmengine.config import Config
from mmengine.runner import IterBasedTrainLoop
from mmocr.apis import TextDetInferencer

LENGTH, KILLED_AFTER = 20, 12
OBJECTIVES = """dict(type='mmocr_da.GlobalAlignment', in_channels=16),
                dict(type='mmocr_da.LocalAlignment', in_channels=16, threshold=0.)"""
METHODS = dict(
    alignment=(OBJECTIVES, OBJECTIVES),
    symnet=(OBJECTIVES, "dict(type='mmocr_da.SymNetHead')"),
    self_training=(
        OBJECTIVES,
        """dict(type='mmocr_da.SelfTraining', ramp=5, average='all', keep=dict(
                    type='mmocr_da.ConfidenceQuantile', start=0.3, end=1., window=36))""",
    ),
)
METHODS['own_texts'] = (
    OBJECTIVES,
    """dict(type='mmocr_da.MinimumRisk'), dict(type='mmocr_da.OptimalCompletion'),
                dict(type='mmocr_da.ScheduledSampling'),
                dict(type='mmocr_da.GlobalAlignment', in_channels=16)""",
)
SOURCE_FREE = """dict(type='mmocr_da.SelfTraining', threshold=0., ramp=5),
                dict(type='mmocr_da.L2SP', weight=0.1)"""


@pytest.fixture
def variant(toy, tmp_path):
    """A copy of the toy's config, changed by replacements of its text."""

    def make(name, **replacements):
        text = toy.read_text().replace('{{ fileDirname }}', str(toy.parent))
        for old, new in replacements.values():
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / f'{name}.py'
        path.write_text(text)
        return path

    return make


def weights(work_dir):
    last = Path((work_dir / 'last_checkpoint').read_text().strip()).name
    return torch.load(work_dir / last)['state_dict']


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def relabel(toy, tmp_path, domain):
    """The same images with other texts."""
    content = json.loads((toy.parent / f'{domain}.json').read_text())
    for entry in content['data_list']:
        entry['instances'][0]['text'] = entry['instances'][0]['text'][::-1] + '9'
    path = tmp_path / f'{domain}_relabelled.json'
    path.write_text(json.dumps(content))
    return (f"ann_file='{domain}.json'", f"ann_file='{path}'")


@pytest.mark.parametrize('method', METHODS)
def test_changing_every_target_label_changes_no_weight(toy, variant, tmp_path, method):
    no_val = ('--cfg-options', 'train_cfg.max_iters=4', 'train_cfg.val_interval=100')
    changes = {
        'as_it_is': {},
        'target': dict(labels=relabel(toy, tmp_path, 'target')),
        'source': dict(labels=relabel(toy, tmp_path, 'source')),
    }
    for name, change in changes.items():
        # MMEngine takes runs of one config name that start in the same second for one.
        config = variant(f'{method}_{name}', objectives=METHODS[method], **change)
        run_tool('train', config, '--work-dir', tmp_path / name, *no_val)
    result = {name: weights(tmp_path / name) for name in changes}
    assert equal(result['as_it_is'], result['target'])
    assert not equal(result['as_it_is'], result['source'])  # the comparison can tell


@pytest.mark.parametrize('method', METHODS)
def test_a_killed_run_resumes_to_the_same_weights(variant, tmp_path, method):
    """Killed in the middle of an epoch, with random augmentation and a schedule of lambda."""
    augment = "dict(type='TorchVisionWrapper', op='ColorJitter', brightness=0.5), "
    config = variant(
        f'{method}_killed',
        objectives=METHODS[method],
        augmentation=("dict(type='Resize'", augment + "dict(type='Resize'"),
    )
    kill_and_resume(config, tmp_path)


def test_a_killed_run_without_a_source_resumes_to_the_same_weights(variant, trained, tmp_path):
    """The start of the anchor is in the checkpoint, and the statistics are estimated once."""
    start = trained / 'iter_2.pth'
    hooks = "custom_hooks = [dict(type='mmocr_da.AdaBNHook')]"
    config = variant(
        'source_free',
        objectives=(OBJECTIVES, SOURCE_FREE),
        weight=("AdaptiveRecognizer',", "AdaptiveRecognizer', supervised_weight=0,"),
        source=("TwoDomainDataset', source=source,", "TwoDomainDataset', source=None,"),
        sampler=(
            "TwoDomainSampler', batch_size=4",
            "TwoDomainSampler', batch_size=4, ratio=(0, 1)",
        ),
        start=('randomness =', f"load_from = '{start}'\n{hooks}\nrandomness ="),
    )
    kill_and_resume(config, tmp_path)
    before, after = torch.load(start)['state_dict'], weights(tmp_path / 'cut')
    for key, value in before.items():
        if key.startswith('objectives') or 'running' in key or 'tracked' in key:
            continue
        assert torch.equal(after[f'objectives.l2sp.start.{key}'], value)
    assert not torch.equal(after['decoder.fc.weight'], before['decoder.fc.weight'])
    assert after['objectives.l2sp.anchored'].all()


def kill_and_resume(config, tmp_path):
    options = [
        '--cfg-options',
        f'train_cfg.max_iters={LENGTH}',
        'train_cfg.val_interval=1000',
        'default_hooks.checkpoint.interval=10',
        'default_hooks.checkpoint.max_keep_ckpts=9',
    ]
    run_tool('train', config, '--work-dir', tmp_path / 'whole', *options)

    killed = tmp_path / 'cut'
    process = CONTEXT.Process(target=train_until_killed, args=(config, killed, options))
    process.start()
    process.join(240)
    assert process.exitcode == -signal.SIGKILL, 'the run ended before it was killed'
    # Two iterations after a checkpoint, and in the middle of an epoch, which is three batches.
    assert 'iter_10' in (killed / 'last_checkpoint').read_text()

    run_tool('train', config, '--work-dir', killed, '--resume', *options)
    assert equal(weights(tmp_path / 'whole'), weights(killed))


LSED = """dict(type='mmocr_da.LocalAlignment', in_channels=16, threshold=0.),
                dict(type='mmocr_da.LSEDLoss', surrogate=dict(
                    channels=[4] * 5, hidden_channels=8, out_channels=4, warmup=0))"""
RECOGNIZER = "type='mmocr_da.AdaptiveRecognizer',"
#: Runs that are killed at random moments: replacements in the toy's config.
KILLED = dict(
    {name: dict(objectives=change) for name, change in METHODS.items()},
    ls_ed=dict(objectives=(OBJECTIVES, LSED)),
    bin=dict(bin=(RECOGNIZER, f"type='mmocr_da.WithBIN', of={RECOGNIZER[5:]}")),
    per_domain=dict(norms=(RECOGNIZER, f"{RECOGNIZER} norm_statistics='per_domain',")),
    pretraining=None,
    small_detection=None,
)
#: Of each of them: 24 in all.
KILLS = 3


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize('name', KILLED)
def test_runs_that_are_killed_at_random_moments_end_with_the_same_weights(
    variant, request, tmp_path, name
):
    """Also while they save, load or resume, with a single checkpoint on the disk."""
    if KILLED[name] is None:
        config = request.getfixturevalue(name)
    else:
        augment = "dict(type='TorchVisionWrapper', op='ColorJitter', brightness=0.5), "
        augmentation = ("dict(type='Resize'", augment + "dict(type='Resize'")
        config = variant(f'{name}_at_random', augmentation=augmentation, **KILLED[name])
    options = [
        '--cfg-options',
        f'train_cfg.max_iters={LENGTH}',
        'train_cfg.val_interval=1000',
        'default_hooks.checkpoint.interval=2',
        'default_hooks.checkpoint.max_keep_ckpts=1',
        'optim_wrapper.optimizer.lr=0.01',  # with more, the toy of LS-ED diverges
    ]
    start = time.monotonic()
    assert train_apart(config, tmp_path / 'whole', options) == 0
    duration, rng = time.monotonic() - start, random.Random(name)
    for _ in range(KILLS):
        exit_code = None
        while exit_code != -signal.SIGKILL:  # a run that is too fast is killed earlier
            moment = rng.uniform(0.2, 1) * duration
            exit_code = train_apart(config, tmp_path / 'cut', options, moment)
            assert exit_code in (0, -signal.SIGKILL)
            if exit_code == 0:
                duration *= 0.7
                shutil.rmtree(tmp_path / 'cut')
    assert train_apart(config, tmp_path / 'cut', options) == 0
    assert equal(weights(tmp_path / 'whole'), weights(tmp_path / 'cut'))
    left = [path.name for path in (tmp_path / 'cut').glob('iter_*')]
    assert left == [f'iter_{LENGTH}.pth']


def train_apart(config, work_dir, options, killed_after=None):
    """Start or resume a run in another process, and kill it; return how the process has ended."""
    process = CONTEXT.Process(target=resume_silently, args=(config, work_dir, options))
    process.start()
    process.join(killed_after)
    process.kill()
    process.join()
    return process.exitcode


def resume_silently(config, work_dir, options):
    with open(os.devnull, 'w') as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    run_tool('train', config, '--work-dir', work_dir, '--resume', *options)


def train_until_killed(config, work_dir, options):
    """Runs in another process, which does not come back."""
    run_iter = IterBasedTrainLoop.run_iter

    def run_and_kill(loop, data_batch):
        run_iter(loop, data_batch)
        if loop.iter == KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)

    with open(os.devnull, 'w') as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    with patch.object(IterBasedTrainLoop, 'run_iter', run_and_kill):
        run_tool('train', config, '--work-dir', work_dir, *options)


@pytest.fixture
def pretraining(toy, tmp_path):
    """The toy's encoder, pre-trained on two views of its images, of which one is broken."""
    cfg = Config.fromfile(toy)
    cfg.model.type = 'mmocr_da.SeqCLR'
    del cfg.model['objectives']
    root = tmp_path / 'images'
    shutil.copytree(toy.parent, root)
    (root / 'source_3.png').write_bytes(b'no image')
    ops = [
        dict(type='mmocr_da.CropAndResize', top=(0, 0.4), bottom=(0, 0.4)),
        dict(type='mmocr_da.PiecewiseAffine'),
        dict(type='mmocr_da.LinearContrast'),
        dict(type='TorchVisionWrapper', op='ColorJitter', brightness=0.5),
    ]
    load, _, resize, pack = cfg.train_pipeline
    views = dict(
        type='mmocr_da.MultiView',
        transforms=[dict(type='mmocr_da.SomeOf', transforms=ops, num=(1, 3)), resize, pack],
    )
    # Labels would be an error here if they were read.
    unlabelled = dict(type='mmocr_da.UnlabelledDataset', img_dir=str(root))
    cfg.train_dataloader = dict(
        batch_size=4,
        num_workers=1,
        persistent_workers=True,
        sampler=dict(type='mmocr_da.SeededSampler', batch_size=4),
        dataset=dict(type='mmocr_da.SeededDataset', datasets=unlabelled, pipeline=[load, views]),
    )
    cfg.custom_hooks = [
        dict(type='mmocr_da.EncoderExportHook'),
        dict(type='mmocr_da.RepresentationHook', interval=5),
    ]
    for key in ('val', 'test'):
        for end in ('dataloader', 'cfg', 'evaluator'):
            cfg[f'{key}_{end}'] = None
    path = tmp_path / 'pretraining.py'
    cfg.dump(path)
    return path


def test_a_killed_pretraining_resumes_to_the_same_weights(pretraining, tmp_path):
    kill_and_resume(pretraining, tmp_path)
    for name in ('whole', 'cut'):
        assert torch.load(tmp_path / name / f'encoder_iter_{LENGTH}.pth')['state_dict']
        assert 'source_3.png' in next((tmp_path / name).glob('*/*.log')).read_text()
    encoders = [
        torch.load(tmp_path / name / f'encoder_iter_{LENGTH}.pth')['state_dict']
        for name in ('whole', 'cut')
    ]
    assert equal(*encoders)


def write_scenes(folder):
    """Six images of noise with one label each, as the training and as the test set."""
    instances = [
        dict(
            polygon=[20, 30, 100, 40, 98, 60, 18, 50],
            bbox=[18, 30, 100, 60],
            bbox_label=0,
            ignore=False,
        )
    ]
    data_list = []
    for i in range(6):
        image = np.random.default_rng(i).integers(0, 255, (160, 160, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f'{i}.png'), image)
        data_list.append(dict(img_path=f'{i}.png', height=160, width=160, instances=instances))
    for split in ('train', 'test'):
        (folder / f'instances_{split}.json').write_text(
            json.dumps(
                dict(
                    metainfo=dict(dataset_type='TextDetDataset', task_name='textdet'),
                    data_list=data_list,
                )
            )
        )


def shrink(node):
    """Images of 96 pixels in the pipelines of a config."""
    for value in node.values() if isinstance(node, dict) else node:
        if isinstance(value, (dict, list, tuple)):
            shrink(value)
    for key in ('size', 'scale', 'crop_size', 'target_size'):
        if isinstance(node, dict) and isinstance(node.get(key), tuple):
            node[key] = (96, 96)


@pytest.fixture
def small_detection(tmp_path, monkeypatch):
    """The config of a small detector that is aligned and taught, on six scenes."""
    for name, value in (('DATA', 'scenes'), ('SOURCE', tmp_path), ('TARGET', tmp_path)):
        monkeypatch.setenv(f'MMOCR_DA_{name}', str(value))
    write_scenes(tmp_path)
    cfg = Config.fromfile(TOOLS.parent / 'configs/detection/small/small_detection-adapted.py')
    shrink(cfg._cfg_dict)
    cfg.load_from, cfg.visualizer.vis_backends = None, []
    cfg.train_dataloader.batch_size = cfg.train_dataloader.sampler.batch_size = 4
    cfg.model.objectives[1].threshold = 0.3  # it is sure of something
    cfg.dump(tmp_path / 'small_detection.py')
    return tmp_path / 'small_detection.py'


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_adaptation_of_a_detector_ends_with_the_same_weights_and_is_exported(
    small_detection, tmp_path
):
    """Aligned and taught; its export predicts the same in MMOCR's own inferencer."""
    kill_and_resume(small_detection, tmp_path)
    checkpoint = tmp_path / f'cut/iter_{LENGTH}.pth'
    trained = torch.load(checkpoint)['state_dict']
    key = 'det_head.binarize.0.weight'
    assert not torch.equal(trained[key], trained[f'objectives.self_training.teacher.{key}'])

    run_tool('export', small_detection, checkpoint, tmp_path / 'out')
    plain = tmp_path / 'out/small_detection.py', tmp_path / 'out/small_detection.pth'
    assert 'mmocr_da' not in plain[0].read_text().replace(str(tmp_path), '')
    predictions = []
    for name, model in (('adapted', (small_detection, checkpoint)), ('plain', plain)):
        run_tool('test', *model, '--work-dir', tmp_path / name, '--save-preds')
        (file,) = (tmp_path / name).glob('*_predictions.pkl')
        predictions.append([p['pred_instances'] for p in pickle.loads(file.read_bytes())])
    adapted, of_plain = predictions
    assert len(adapted) == 12 and sum(len(p['polygons']) for p in adapted) > 0
    inferencer = TextDetInferencer(str(plain[0]), str(plain[1]), device='cpu')
    image = str(tmp_path / '0.png')
    found = inferencer(image, progress_bar=False)['predictions'][0]
    for ours, theirs in (*zip(adapted, of_plain), (adapted[0], found)):
        scores = [ours['scores'], theirs.get('scores', theirs.get('det_scores'))]
        np.testing.assert_allclose(*map(np.asarray, scores), rtol=1e-4)
        for a, b in zip(ours['polygons'], theirs.get('polygons'), strict=True):
            np.testing.assert_allclose(np.ravel(a), np.ravel(b), atol=0.1)


def of_family(cfg, kind):
    """The config with a narrow detector of a family, which is aligned and taught."""
    objectives = [
        dict(
            type='mmocr_da.ImageAlignment',
            part='backbone',
            in_channels=CHANNELS[1] if kind == 'FCENet' else CHANNELS[0],
        ),
        dict(type='mmocr_da.DetectorSelfTraining', threshold=0.0),
    ]
    model = narrow(kind).to_dict()
    cfg.model = dict(
        model, type='mmocr_da.AdaptiveTextDetector', of=model['type'], objectives=objectives
    )
    cfg.custom_hooks = []  # they name the parts of DBNet
    if kind != 'MMDetWrapper':
        return cfg
    meta_keys = ('img_path', 'ori_shape', 'img_shape', 'scale_factor')
    pack = dict(type='mmdet.PackDetInputs', meta_keys=meta_keys)
    labels = dict(type='MMOCR2MMDet', poly2mask=True)
    dataset = cfg.train_dataloader.dataset
    dataset.pipeline[-1:] = [labels, pack]
    views = dataset.target_pipeline[-1]
    views.weak[-1] = views.strong[-1] = pack
    return cfg


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize('kind', ['PANet', 'PSENet', 'FCENet', 'MMDetWrapper'])
def test_a_killed_adaptation_of_any_family_resumes_to_the_same_weights(
    small_detection, tmp_path, kind
):
    """DBNet is above. The teachers of TextSnake, DRRG and RRPN take minutes on noise."""
    config = tmp_path / f'{kind}.py'
    of_family(Config.fromfile(small_detection), kind).dump(config)
    kill_and_resume(config, tmp_path)
    trained = weights(tmp_path / 'cut')
    teacher = 'objectives.self_training.teacher.'
    followed = [k for k in trained if teacher + k in trained and trained[k].dim() == 4]
    assert followed and any(not torch.equal(trained[k], trained[teacher + k]) for k in followed)


@pytest.mark.slow
def test_a_stopped_tuning_of_a_detector_resumes_to_the_same_weights(tmp_path):
    """With LS-IoU, stopped between a step of the detector and one of the surrogate."""
    write_scenes(tmp_path)
    surrogate = 'model.cfg.roi_head.bbox_head.loss_bbox.surrogate'
    options = [
        '--cfg-options',
        'train_cfg.val_interval=1000',
        'default_hooks.checkpoint.interval=3',
        'param_scheduler.0.end=6',  # MMEngine ends it with the run, which is cut short here
        *(
            f'{loader}.data_root={tmp_path}'
            for loader in ('train_dataloader.dataset.datasets', 'val_dataloader.dataset')
        ),
        f'{surrogate}.pairs.ann_files={tmp_path / "instances_train.json"}',
        f'{surrogate}.pairs.num_pairs=500',
        f'{surrogate}.pairs.cache_dir={tmp_path / "pairs"}',
        f'{surrogate}.pretrain_steps=2',
        f'{surrogate}.model_steps=2',
    ]
    config = TOOLS.parent / 'configs/learned_surrogate/small/small_rrpn-lsiou_scenes.py'
    for name, lengths in dict(whole=[6], cut=[3, 6]).items():
        for length in lengths:
            resume = ['--resume'] if length != lengths[0] else []
            run_tool(
                'train',
                config,
                '--work-dir',
                tmp_path / name,
                *resume,
                *options,
                f'train_cfg.max_iters={length}',
            )
    assert (tmp_path / 'cut/iter_3.pth').exists()
    assert equal(weights(tmp_path / 'whole'), weights(tmp_path / 'cut'))
