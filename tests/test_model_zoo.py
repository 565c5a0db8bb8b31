"""Published recognizers: they are found by their names, load, and reach what their rows say."""

import importlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from helpers.tools import load_tool
from mmengine.config import Config
from mmocr.apis import TextRecInferencer
from mmocr.registry import MODELS

from mmocr_da import model_zoo
from mmocr_da.config_names import find_config

ROOT = Path(__file__).parents[1]
ZOO = ROOT / 'configs' / 'zoo'
NAMES = [model['Name'] for model in model_zoo.published_here()]


def test_there_are_recognizers():
    assert len(NAMES) >= 2 == len({name.lower() for name in NAMES[:2]})


@pytest.mark.parametrize('name', NAMES)
def test_a_name_finds_config_and_weights(name):
    path, base = find_config(name)
    assert base == f'mmocr_da::zoo/{name}.py'
    weights = model_zoo.published_weights(name)
    assert weights == model_zoo.weights_for(f'mmocr_da::zoo/{name}.py')
    assert Path(weights).samefile(ZOO / f'{name}.pth')
    model = MODELS.build(Config.fromfile(path).model)
    state = torch.load(weights, weights_only=True)['state_dict']
    assert {v.dtype for v in state.values() if v.is_floating_point()} == {torch.half}
    model.load_state_dict(state, strict=True)
    (entry,) = [model for model in model_zoo.published_here() if model['Name'] == name]
    assert entry['Metadata']['Parameters'] == sum(v.numel() for v in state.values())


@pytest.mark.parametrize('name', NAMES)
def test_an_inferencer_of_mmocr_takes_the_name(name):
    inferencer = TextRecInferencer(name, device='cpu')
    image = np.full((32, 120, 3), 230, np.uint8)
    cv2.putText(image, '70374', (8, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (20, 20, 20), 2)
    (found,) = inferencer(image)['predictions']
    assert found['text'] == '70374'


def test_mmocr_lists_them_beside_its_own():
    listed = TextRecInferencer.list_models('mmocr')
    assert listed.count('crnn_mini-vgg_5e_mj') == 1
    assert [listed.count(name) for name in NAMES] == [1] * len(NAMES)
    assert not {*NAMES} & {*TextRecInferencer.list_models('mmdet')}


@pytest.mark.parametrize(
    'config', ['crnn_mini-vgg_5e_mj', 'mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py', 'CRNN']
)
def test_the_weights_of_mmocr_are_found_by_their_names(config):
    address = model_zoo.published_weights(config)
    assert address.startswith('https://') and 'crnn_mini-vgg_5e_mj' in address


def test_a_config_without_weights_is_an_error(tmp_path):
    assert model_zoo.published_weights('my_config.py') is None
    (tmp_path / 'crnn_mini-vgg_5e_mj.py').touch()  # another recognizer, perhaps
    assert model_zoo.published_weights(str(tmp_path / 'crnn_mini-vgg_5e_mj.py')) is None
    with pytest.raises(ValueError, match=f"given with the config 'my_config.py'.*{NAMES[0]}"):
        model_zoo.weights_for('my_config.py')


def test_the_results_in_the_metafile_are_those_of_its_lines():
    tool = load_tool('publish_model')
    text = (ZOO / 'metafile.yml').read_text(encoding='utf-8')
    assert text == tool.metafile(tool.read_models(ZOO))
    for model in yaml.safe_load(text)['Models']:
        assert {result['Dataset'] for result in model['Results']} == {
            'printed numbers',
            'handwritten numbers',
        }
        log = (ROOT / model['Metadata']['Training Log']).read_text().splitlines()
        assert json.loads(log[-1])['step'] >= 1200


def test_they_reach_their_results(tmp_path):
    """On images of the same kind, drawn anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / 'tools' / 'dataset_converters')
        converter = importlib.import_module('printed_to_handwritten')
        numbers = dict.fromkeys(['source', 'target', 'target-val'], 10)
        numbers |= {'source-test': 200, 'target-test': 200}
        options = [f'--num-{name}={number}' for name, number in numbers.items()]
        converter.main(['--out-dir', str(tmp_path / 'data'), *options])
    for model in model_zoo.published_here():
        inferencer = TextRecInferencer(model['Name'], device='cpu')
        for result in model['Results']:
            domain = dict(printed='source', handwritten='target')[result['Dataset'].split()[0]]
            folder = tmp_path / 'data' / domain
            labels = json.loads((folder / 'textrecog_test.json').read_text())['data_list']
            images = [str(folder / entry['img_path']) for entry in labels]
            texts = [p['text'] for p in inferencer(images, batch_size=100)['predictions']]
            right = [t == e['instances'][0]['text'] for t, e in zip(texts, labels, strict=True)]
            assert np.mean(right) == pytest.approx(result['Metrics']['word_acc'], abs=0.1)
