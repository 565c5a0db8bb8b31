"""The held-out report of a surrogate, as a user makes it."""

import json
import re
from types import SimpleNamespace
from unittest.mock import patch

import cv2
import editdistance
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmengine.structures import InstanceData
from mmocr.structures import TextDetDataSample

from mmocr_da.engine.inference import inference_pipeline
from mmocr_da.models.surrogates import EditDistanceSurrogate, RotatedIoUSurrogate
from mmocr_da.registry import MODELS
from mmocr_da.visualization import plot_quality


@pytest.fixture(scope='module')
def config(toy):
    cfg = Config.fromfile(toy)
    cfg.model.objectives = [
        dict(
            type='mmocr_da.LSEDLoss',
            surrogate=dict(
                channels=[4] * 5, hidden_channels=8, out_channels=4, max_distance=3, warmup=0
            ),
        )
    ]
    cfg.dump(toy.parent / 'quality.py')
    return toy.parent / 'quality.py'


@pytest.fixture
def checkpoint(config, trained, tmp_path):
    """The toy's recognizer with a surrogate that nobody trained."""
    model = MODELS.build(Config.fromfile(config).model)
    load_checkpoint(model, str(trained / 'iter_2.pth'), map_location='cpu')
    torch.save(dict(meta={}, state_dict=model.state_dict()), tmp_path / 'model.pth')
    return tmp_path / 'model.pth'


@pytest.fixture
def report(run_tool, config, checkpoint, tmp_path, capsys):

    def run(*options):
        capsys.readouterr()
        run_tool(
            'analysis_tools/surrogate_quality',
            config,
            checkpoint,
            '--out',
            tmp_path / 'q.png',
            *options,
        )
        return capsys.readouterr().out

    return run


def test_it_reports_predictions_and_generated_pairs(report, tmp_path):
    out = report()
    assert cv2.imread(str(tmp_path / 'q.png')).std() > 10
    assert (
        len(
            re.findall(
                r'^12 (?:val predictions|generated pairs): mean error \d\.\d+ edits, '
                r'rank correlation (?:-?\d\.\d+|undefined)$',
                out,
                re.M,
            )
        )
        == 2
    )
    assert report() == out  # the same pairs again


def test_distances_are_those_of_the_predictions(report, config, checkpoint, trained):
    """As MMOCR reads the images, one at a time."""
    cfg = Config.fromfile(config)
    model = MODELS.build(cfg.model).eval()
    load_checkpoint(model, str(checkpoint), map_location='cpu')
    from mmocr.registry import DATASETS

    distances = set()
    for dataset in cfg.val_dataloader.dataset.datasets:
        dataset.pipeline = inference_pipeline(cfg)
        for item in DATASETS.build(dict(dataset, pipeline=cfg.test_pipeline)):
            data = dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
            (sample,) = model.test_step(data)
            distances.add(editdistance.eval(sample.pred_text.item, sample.gt_text.item))
    shown = re.findall(r'at a distance of (.*)', report())[0]
    assert {int(x) for x in re.findall(r'(\d+): ', shown)} == distances


def test_where_the_gradient_goes(load_tool, monkeypatch, capsys, tmp_path):
    """Magnitudes 1 and 1 at right predictions, 3 and 1 at wrong ones: 4 of 6 go there."""
    module = load_tool('analysis_tools/surrogate_quality')
    kinds = {'val predictions': ([0.0, 0.0, 1.0, 1.0], [0, 0, 1, 2]), 'generated pairs': ([], [])}
    for name, value in dict(
        check_checkpoint=None,
        load_model=None,
        find_surrogate=(None, None),
        load_config=dict(val_dataloader={}),
        compare=(kinds, [1.0, 1.0, 3.0, 1.0]),
    ).items():
        monkeypatch.setattr(module, name, lambda *args, value=value, **kwargs: value)
    monkeypatch.setattr(
        module.Runner, 'build_dataloader', lambda *args, **kwargs: SimpleNamespace(dataset=None)
    )
    monkeypatch.setattr(
        'sys.argv', ['surrogate_quality.py', 'c', 'm', '--out', str(tmp_path / 'q.png')]
    )
    module.main()
    assert (
        'gradient magnitude at the logits: 1.000 for right predictions, 2.000 for wrong ones; '
        'the 50% that are wrong get 67% of it'
    ) in capsys.readouterr().out


def test_gradients_are_those_of_the_estimates(load_tool, config, checkpoint):
    module = load_tool('analysis_tools/surrogate_quality')
    cfg = Config.fromfile(config)
    model = module.load_model(cfg, str(checkpoint))
    surrogate = model.objectives['lsed'].surrogate
    surrogate.embedding.fcs[-1].weight.data *= 1e4  # far above the epsilon under the root
    loader = module.Runner.build_dataloader(cfg.val_dataloader, seed=0)
    _, lengths = module.compare(model, surrogate, loader, 'val')
    surrogate.embedding.fcs[-1].weight.data *= 2  # twice as far apart, twice as steep
    _, others = module.compare(model, surrogate, loader, 'val')
    assert len(lengths) == 12 and min(lengths) > 0
    assert others == pytest.approx([2 * x for x in lengths], rel=0.05)
    assert all(p.grad is None for p in model.parameters())


def test_another_surrogate_judges_the_same_predictions(report, checkpoint, tmp_path):
    model_surrogate = {
        k.removeprefix('objectives.lsed.surrogate.'): v * 9
        for k, v in torch.load(checkpoint)['state_dict'].items()
        if k.startswith('objectives.')
    }
    spec = []
    original = EditDistanceSurrogate.load

    def load(self, file):
        spec.append(self.spec)
        torch.save(dict(meta=dict(surrogate=self.spec), state_dict=model_surrogate), file)
        original(self, file)

    with patch.object(EditDistanceSurrogate, 'load', load):
        out = report('--surrogate', str(tmp_path / 's.pth'))
    assert spec and out != report()


def test_an_lmdb_gives_what_its_files_give(report, toy_lmdb):
    """Whose pipeline is that of the files, as in training."""

    def with_first(*options):
        options = [f'datasets.0.{option}' for option in options] + ['verify_meta=False']
        return report('--cfg-options', *(f'val_dataloader.dataset.{option}' for option in options))

    assert with_first('type=RecogLMDBDataset', f'ann_file={toy_lmdb}', 'data_root=') == with_first(
        'ann_file=target.json'
    )


def test_weights_that_are_not_finite_are_not_judged(report, checkpoint, tmp_path):
    content = torch.load(checkpoint)
    content['state_dict']['decoder.fc.bias'][0] = float('inf')
    torch.save(content, checkpoint)
    with pytest.raises(ValueError, match='must be finite numbers'):
        report()
    assert not (tmp_path / 'q.png').exists()


def test_a_config_without_a_surrogate_is_refused(run_tool, toy, trained, tmp_path):
    with pytest.raises(ValueError, match='a model with one learned surrogate is needed'):
        run_tool('analysis_tools/surrogate_quality', toy, trained / 'iter_2.pth')


def test_a_config_without_images_says_so(report, capsys):
    with pytest.raises(SystemExit):
        report('--cfg-options', 'val_dataloader=None')
    assert 'the config has no val_dataloader' in capsys.readouterr().err


# --------------------------------------------------------------------------- rotated boxes

LABEL = [10, 10, 90, 10, 90, 30, 10, 30]


class Finder:
    """A detector that finds a box and half of it, each in an image of its own."""

    @staticmethod
    def data_preprocessor(data, training):
        return data

    def __call__(self, data_samples, mode):
        for sample, found in zip(data_samples, (LABEL, [10, 10, 50, 10, 50, 30, 10, 30], None)):
            sample.gt_instances = InstanceData(polygons=[LABEL, [200, 200, 300, 200, 250, 280]])
            # What touches no label is not judged.
            far = [500.0, 500, 560, 500, 560, 520, 500, 520]
            sample.pred_instances = InstanceData(polygons=[far] if found is None else [found, far])
        return data_samples


@pytest.fixture
def of_boxes(tmp_path):
    instances = [dict(polygon=LABEL, ignore=False)]
    (tmp_path / 'labels.json').write_text(
        json.dumps(dict(data_list=[dict(img_path='a.jpg', instances=instances)]))
    )
    return RotatedIoUSurrogate(
        pairs=dict(
            ann_files=str(tmp_path / 'labels.json'),
            num_pairs=500,
            cache_dir=str(tmp_path / 'cache'),
        )
    )


def test_boxes_are_judged_with_the_label_that_they_overlap_with_most(load_tool, of_boxes):
    tool = load_tool('analysis_tools/surrogate_quality')
    loader = [dict(data_samples=[TextDetDataSample() for _ in range(3)])]
    kinds = tool.compare_boxes(Finder(), of_boxes, loader, 'test')
    estimates, values = kinds['boxes in test images']
    assert values == pytest.approx([0, 0.5], abs=1e-4)
    # An equal box is at a distance of 0 from the start.
    assert estimates[0] < 1e-3 < estimates[1]
    assert len(kinds['generated pairs'][1]) == 2
    of_boxes.approximation = 'local'
    assert list(tool.compare_boxes(Finder(), of_boxes, loader, 'test')) == ['boxes in test images']


def test_a_detector_that_finds_no_label_is_named(load_tool, of_boxes):
    tool = load_tool('analysis_tools/surrogate_quality')
    finder = Finder()
    nothing = [dict(data_samples=[])]
    with pytest.raises(ValueError, match='at least one predicted box'):
        tool.compare_boxes(finder, of_boxes, nothing, 'val')


def test_the_report_of_boxes_groups_distances(load_tool, tmp_path, capsys):
    tool = load_tool('analysis_tools/surrogate_quality')
    kinds = {'boxes': ([0.1, 0.5, 0.52], [0.04, 0.48, 0.52])}
    drawn = plot_quality(kinds, str(tmp_path / 'q.png'), 'of 1 - IoU', step=0.1)
    assert cv2.imread(str(tmp_path / 'q.png')).std() > 10
    tool.report(kinds, drawn, 'of 1 - IoU', 0.1)
    out = capsys.readouterr().out
    assert '3 boxes: mean error 0.027 of 1 - IoU' in out
    assert 'at a distance of 0: 0.06, 0.5: 0.01' in out
