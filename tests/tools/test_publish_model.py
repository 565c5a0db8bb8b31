"""Publishing a recognizer: its files, and the results that are written beside its name."""

import json

import pytest
import torch
import yaml
from helpers.tools import load_tool
from mmengine.config import Config
from mmengine.fileio import dump
from mmocr.apis import TextRecInferencer

from mmocr_da.registry import MODELS

CONFIG = 'mmocr_da::self_training/small/small_augmented-assda.py'


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """``tool(...)`` runs the tool with a toy's checkpoint; of each domain it reads half."""
    module = load_tool('publish_model')
    monkeypatch.setattr(module, 'RESULTS', tmp_path / 'lines.jsonl')
    cfg = Config.fromfile(module.find_config(CONFIG)[0])
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    torch.save(dict(meta=dict(cfg='secret'), state_dict=model.state_dict()), tmp_path / 'toy.pth')
    (tmp_path / 'scalars.json').write_text('{"loss": 1.0, "step": 3}\n')

    def test(tool, *command):
        """What is tested are the files that are published."""
        if tool == 'tools/test.py':
            config, weights, _, folder, _ = command
            model = MODELS.build(Config.fromfile(config).model)
            model.load_state_dict(torch.load(weights, weights_only=True)['state_dict'])
            found = [
                dict(
                    img_path=f'{module.DATA}/{domain}/{text}.png',
                    gt_text=dict(item=text),
                    pred_text=dict(item='12'),
                )
                for domain in ('source', 'target')
                for text in ('12', '34')
            ]
            dump(found, f'{folder}/{weights.name}_predictions.pkl', file_format='pkl')

    monkeypatch.setattr(module.quickstart, 'run', test)

    def run(name, *options):
        command = [name, CONFIG, tmp_path / 'toy.pth'] if name else []
        command = ['publish_model.py', *command, *options, '--out-dir', tmp_path / 'zoo']
        monkeypatch.setattr('sys.argv', [*map(str, command)])
        module.main()
        return yaml.safe_load((tmp_path / 'zoo' / 'metafile.yml').read_text())['Models']

    return run


def test_a_published_recognizer_is_plain_and_has_its_results(tool, tmp_path):
    (model,) = tool('toy', '--training-data', 'toys', '--log', tmp_path / 'scalars.json')
    assert model['Results'] == [
        dict(Task='Text Recognition', Dataset=data, Metrics=dict(word_acc=0.5, cer=0.5))
        for data in ('printed numbers', 'handwritten numbers')
    ]
    assert model['Metadata']['Training Data'] == 'toys'
    assert model['Config'] == 'configs/zoo/toy.py'
    assert model['Metadata']['Training Log'] == 'configs/zoo/toy.jsonl'
    assert {path.name for path in (tmp_path / 'zoo').iterdir()} == {
        *('toy.py', 'toy.pth', 'toy.jsonl', 'digits.txt', 'metafile.yml')
    }
    saved = torch.load(tmp_path / 'zoo' / 'toy.pth', weights_only=True)
    assert saved['meta'] == {}
    trained = torch.load(tmp_path / 'toy.pth', weights_only=True)['state_dict']
    for key, value in saved['state_dict'].items():
        torch.testing.assert_close(value, trained[key].to(value.dtype))
    assert 'mmocr_da' not in (tmp_path / 'zoo' / 'toy.py').read_text()
    TextRecInferencer(str(tmp_path / 'zoo/toy.py'), str(tmp_path / 'zoo/toy.pth'), device='cpu')


def test_a_second_recognizer_joins_and_a_refresh_reads_the_lines_again(tool, tmp_path):
    tool('b', '--training-data', 'toys')
    assert [model['Name'] for model in tool('a', '--training-data', 'toys')] == ['a', 'b']
    tool('a', '--training-data', 'others')  # its lines are replaced
    file = tmp_path / 'lines.jsonl'
    lines = [*map(json.loads, file.read_text().splitlines())]
    assert sorted(line['model'] for line in lines) == ['a', 'a', 'b', 'b']
    file.write_text(''.join(f'{json.dumps(dict(line, word_accuracy=1.0))}\n' for line in lines))
    models = tool('', '--refresh')
    assert {r['Metrics']['word_acc'] for m in models for r in m['Results']} == {1.0}
    file.write_text(f'{json.dumps(lines[0])}\n')
    with pytest.raises(ValueError, match="line of 'a' for each domain, got none for"):
        tool('', '--refresh')


@pytest.mark.parametrize('options', [['--refresh', '--training-data', 'toys'], []])
def test_half_a_command_is_an_error(tool, options, capsys):
    with pytest.raises(SystemExit):
        tool('toy', *options)
    assert 'or --refresh alone' in capsys.readouterr().err
