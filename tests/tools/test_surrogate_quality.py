"""The held-out report of a surrogate, as a user makes it."""
import re
from unittest.mock import patch

import cv2
import editdistance
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint

from mmocr_da.engine.export import inference_pipeline
from mmocr_da.models.surrogates import EditDistanceSurrogate
from mmocr_da.registry import MODELS


@pytest.fixture(scope='module')
def config(toy):
    cfg = Config.fromfile(toy)
    cfg.model.objectives = [dict(type='mmocr_da.LSEDLoss', surrogate=dict(
        channels=[4] * 5, hidden_channels=8, out_channels=4, max_distance=3))]
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
        run_tool('analysis_tools/surrogate_quality', config, checkpoint, '--out',
                 tmp_path / 'q.png', *options)
        return capsys.readouterr().out

    return run


def test_it_reports_readings_and_generated_pairs(report, tmp_path):
    out = report()
    assert cv2.imread(str(tmp_path / 'q.png')).std() > 10
    assert len(re.findall(r'^12 (?:val readings|generated pairs): mean error \d\.\d+ edits, '
                          r'rank correlation (?:-?\d\.\d+|undefined)$', out, re.M)) == 2
    assert report() == out  # the same pairs again


def test_distances_are_those_of_the_readings(report, config, checkpoint, trained):
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
            sample, = model.test_step(data)
            distances.add(editdistance.eval(sample.pred_text.item, sample.gt_text.item))
    shown = re.findall(r'at a distance of (.*)', report())[0]
    assert {int(x) for x in re.findall(r'(\d+): ', shown)} == distances


def test_where_the_gradient_goes(load_tool, monkeypatch, capsys, tmp_path):
    """Lengths 1 and 1 at right readings, 3 and 1 at misread ones: 4 of 6 go there."""
    module = load_tool('analysis_tools/surrogate_quality')
    kinds = {'val readings': ([0., 0., 1., 1.], [0, 0, 1, 2]), 'generated pairs': ([], [])}
    for name, value in dict(check_checkpoint=None, load_model=None, find_surrogate=(None, None),
                            load_config=dict(val_dataloader={}),
                            compare=(kinds, [1., 1., 3., 1.])).items():
        monkeypatch.setattr(module, name, lambda *args, value=value, **kwargs: value)
    monkeypatch.setattr(module.Runner, 'build_dataloader', lambda *args, **kwargs: None)
    monkeypatch.setattr('sys.argv', ['surrogate_quality.py', 'c', 'm', '--out',
                                     str(tmp_path / 'q.png')])
    module.main()
    assert ('gradient at the logits: 1.000 long where the reading is right, 2.000 where it is not; '
            'the 50% that are misread get 67% of it') in capsys.readouterr().out


def test_gradients_are_those_of_the_estimates(load_tool, config, checkpoint):
    module = load_tool('analysis_tools/surrogate_quality')
    cfg = Config.fromfile(config)
    model = module.load_model(cfg, str(checkpoint))
    surrogate = model.objectives[0].surrogate
    surrogate.embedding.fcs[-1].weight.data *= 1e4  # far above the epsilon under the root
    loader = module.Runner.build_dataloader(cfg.val_dataloader, seed=0)
    _, lengths = module.compare(model, surrogate, loader, 'val')
    surrogate.embedding.fcs[-1].weight.data *= 2  # twice as far apart, twice as steep
    _, others = module.compare(model, surrogate, loader, 'val')
    assert len(lengths) == 12 and min(lengths) > 0
    assert others == pytest.approx([2 * x for x in lengths], rel=0.05)
    assert all(p.grad is None for p in model.parameters())


def test_another_surrogate_judges_the_same_readings(report, checkpoint, tmp_path):
    model_surrogate = {k.removeprefix('objectives.0.surrogate.'): v * 9
                       for k, v in torch.load(checkpoint)['state_dict'].items()
                       if k.startswith('objectives.')}
    spec = []
    original = EditDistanceSurrogate.load

    def load(self, file):
        spec.append(self.spec)
        torch.save(dict(meta=dict(surrogate=self.spec), state_dict=model_surrogate), file)
        original(self, file)

    with patch.object(EditDistanceSurrogate, 'load', load):
        out = report('--surrogate', str(tmp_path / 's.pth'))
    assert spec and out != report()


def test_a_config_without_a_surrogate_is_refused(run_tool, toy, trained, tmp_path):
    with pytest.raises(ValueError, match='a model with one learned surrogate is needed'):
        run_tool('analysis_tools/surrogate_quality', toy, trained / 'iter_2.pth')


def test_a_config_without_images_says_so(report, capsys):
    with pytest.raises(SystemExit):
        report('--cfg-options', 'val_dataloader=None')
    assert 'the config has no val_dataloader' in capsys.readouterr().err
