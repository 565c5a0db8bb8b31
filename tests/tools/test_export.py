"""Every recognizer of MMOCR goes through the tool; what fails leaves nothing, nothing is lost."""

import copy
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmocr.apis import TextRecInferencer

from mmocr_da import export
from mmocr_da.engine.launch import load_config
from mmocr_da.onnx_export import export_onnx
from mmocr_da.registry import MODELS

README = Path(__file__).parents[2] / 'README.md'

RESNET31 = dict(layers=[1] * 4, channels=[4, 8, 8, 8, 16, 16, 16])
NRTR = dict(n_layers=1, n_head=2, d_k=8, d_v=8, d_model=16, d_inner=16)
ABI_DECODER = dict(vision_decoder=dict(in_channels=16, num_channels=4), d_model=16)
#: A config of each architecture in MMOCR, and what makes its model small.
FAMILIES = {
    'crnn/crnn_mini-vgg_5e_mj': {},
    'svtr/svtr-tiny_20e_st_mj': dict(
        encoder=dict(
            embed_dims=[8, 16, 16],
            depth=[1] * 3,
            num_heads=[1, 2, 2],
            out_channels=16,
            mixer_types=['Local', 'Local', 'Global'],
        ),
        decoder=dict(in_channels=16),
    ),
    'aster/aster_resnet45_6e_st_mj': dict(
        backbone=dict(arch_layers=[1] * 5, arch_channels=[8, 8, 8, 8, 16]),
        encoder=dict(in_channels=16),
        decoder=dict(in_channels=16, emb_dims=8, attn_dims=8, hidden_size=8, max_seq_len=4),
    ),
    'sar/sar_resnet31_parallel-decoder_5e_st-sub_mj-sub_sa_real': dict(
        backbone=RESNET31,
        encoder=dict(d_model=16, d_enc=8),
        decoder=dict(d_model=16, d_enc=8, d_k=8, max_seq_len=4),
    ),
    'sar/sar_resnet31_sequential-decoder_5e_st-sub_mj-sub_sa_real': dict(
        backbone=RESNET31,
        encoder=dict(d_model=16, d_enc=8),
        decoder=dict(d_model=16, d_enc=8, d_k=8, max_seq_len=4),
    ),
    'robust_scanner/robustscanner_resnet31_5e_st-sub_mj-sub_sa_real': dict(
        backbone=RESNET31,
        encoder=dict(in_channels=16, out_channels=8),
        decoder=dict(
            hybrid_decoder=dict(dim_input=16, dim_model=8),
            in_channels=[16, 16],
            position_decoder=dict(dim_input=16, dim_model=8),
        ),
    ),
    'nrtr/nrtr_modality-transform_6e_st_mj': dict(
        encoder=dict(n_layers=1), decoder=dict(n_layers=1, max_seq_len=4)
    ),
    'nrtr/nrtr_resnet31-1by8-1by4_6e_st_mj': dict(
        backbone=dict(RESNET31, channels=RESNET31['channels'][:6]),
        encoder=NRTR,
        decoder=dict(NRTR, d_embedding=16, max_seq_len=4),
    ),
    'satrn/satrn_shallow-small_5e_st_mj': dict(
        backbone=dict(hidden_dim=16),
        encoder=NRTR,
        decoder=dict(NRTR, d_embedding=16, max_seq_len=4),
    ),
    'master/master_resnet31_12e_st_mj_sa': dict(
        backbone=dict(stem_channels=[4, 8], arch_channels=[16] * 4, arch_layers=[1] * 4),
        decoder=dict(d_model=16, n_head=2, d_inner=16, n_layers=1, max_seq_len=4),
    ),
    'abinet/abinet-vision_20e_st-an_mj': dict(
        backbone=dict(stem_channels=4, base_channels=1, arch_settings=[1] * 5),
        encoder=dict(n_layers=1, n_head=2, d_model=16, d_inner=16),
        decoder=ABI_DECODER,
    ),
    'abinet/abinet_20e_st-an_mj': dict(
        backbone=dict(stem_channels=4, base_channels=1, arch_settings=[1] * 5),
        encoder=dict(n_layers=1, n_head=2, d_model=16, d_inner=16),
        decoder=dict(
            ABI_DECODER, language_decoder=dict(d_model=16, n_head=2, d_inner=16, n_layers=1)
        ),
    ),
}


def save_random(config, path, **options):
    """A checkpoint of random weights of a config's model."""
    cfg = Config.fromfile(str(config))
    cfg.merge_from_dict(options)
    torch.save(
        dict(state_dict=MODELS.build(copy.deepcopy(cfg.model)).state_dict(), meta=dict(iter=7)),
        path,
    )
    return path


def files(folder):
    """Everything in a folder, hidden files too, with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


@pytest.mark.parametrize('name', FAMILIES)
def test_every_recognizer_of_mmocr_is_exported(run_tool, tmp_path, capsys, name):
    config = tmp_path / 'adapted.py'
    model = dict(
        FAMILIES[name],
        type='mmocr_da.AdaptiveRecognizer',
        objectives=[dict(type='mmocr_da.GlobalAlignment', in_channels=16)],
    )
    config.write_text(f"_base_ = 'mmocr::textrecog/{name}.py'\nmodel = {model}")
    checkpoint = save_random(config, tmp_path / 'adapted.pth')
    run_tool('export', config, checkpoint, tmp_path / 'out')
    assert capsys.readouterr().out.endswith('needs only MMOCR\n')
    weights = torch.load(tmp_path / 'out/adapted.pth')
    assert not any('objectives' in key for key in weights['state_dict'])
    if 'aster' in name:  # MMOCR's own reader, told where the weights are and no more
        reader = TextRecInferencer(weights=str(tmp_path / 'out/adapted.pth'), device='cpu')
        image = torch.zeros(32, 64, 3, dtype=torch.uint8).numpy()
        assert isinstance(reader(image, progress_bar=False)['predictions'][0]['text'], str)


def test_the_recipe_of_the_readme_is_exported(run_tool, tmp_path, capsys):
    recipe = re.search(
        r'Save\s+as\s+`my_adaptation.py`:\n\n```python\n(.*?)```',
        README.read_text(encoding='utf-8'),
        re.DOTALL,
    )[1]
    config = tmp_path / 'my_adaptation.py'
    config.write_text(recipe)
    small = {'model.backbone.arch_layers': [1] * 5, 'model.decoder.max_seq_len': 4}
    checkpoint = save_random(config, tmp_path / 'iter_5000.pth', **small)
    run_tool(
        'export',
        config,
        checkpoint,
        tmp_path / 'exported',
        '--cfg-options',
        'model.backbone.arch_layers=[1,1,1,1,1]',
        'model.decoder.max_seq_len=4',
    )
    assert capsys.readouterr().out.endswith('needs only MMOCR\n')
    assert (tmp_path / 'exported/my_adaptation.pth').is_file()


@pytest.fixture
def inputs(toy, trained, tmp_path):
    """The toy's config, its dictionary and its checkpoint ``toy.pth``, in a folder of their own."""
    folder = tmp_path / 'mine'
    folder.mkdir()
    for source, name in (
        (toy, 'toy.py'),
        (toy.parent / 'digits.txt', 'digits.txt'),
        (trained / 'iter_2.pth', 'toy.pth'),
    ):
        (folder / name).write_bytes(source.read_bytes())
    return folder


def test_neither_config_nor_checkpoint_is_overwritten(run_tool, inputs, monkeypatch):
    monkeypatch.chdir(inputs)
    before = files(inputs)
    with pytest.raises(ValueError, match='toy.py is an input of this command'):
        run_tool('export', 'toy.py', 'toy.pth', '.')
    (inputs / 'toy.pth').rename(inputs / 'iter_2.pth')
    with pytest.raises(ValueError, match='toy.py is an input of this command'):
        run_tool('export', 'toy.py', 'iter_2.pth', inputs)
    (inputs / 'iter_2.pth').rename(inputs / 'toy.pth')
    assert files(inputs) == before


def test_what_mmengine_left_in_a_work_dir_stays(run_tool, toy, trained):
    before = files(trained)
    assert 'toy.py' in before
    with pytest.raises(ValueError, match='toy.py exists and was not written by tools/export.py'):
        run_tool('export', toy, trained / 'iter_2.pth', trained)
    assert files(trained) == before


def test_a_dictionary_of_the_same_name_stays(run_tool, inputs, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'digits.txt').write_text('mine')
    with pytest.raises(ValueError, match='digits.txt exists and was not written by'):
        run_tool('export', inputs / 'toy.py', inputs / 'toy.pth', out)
    assert files(out) == {'digits.txt': b'mine'}


def test_the_dictionary_of_another_export_stays(run_tool, inputs, tmp_path):
    out = tmp_path / 'out'
    run_tool('export', inputs / 'toy.py', inputs / 'toy.pth', out)
    (inputs / 'toy.py').rename(inputs / 'second.py')
    run_tool('export', inputs / 'second.py', inputs / 'toy.pth', out)
    before = files(out)
    assert {'toy.py', 'second.py', 'digits.txt'} <= before.keys()
    weights = torch.load(inputs / 'toy.pth', weights_only=False)['state_dict']
    torch.save(dict(state_dict=weights), inputs / 'toy.pth')
    (inputs / 'digits.txt').write_text('\n'.join('1234567890'))
    with pytest.raises(
        ValueError, match='digits.txt exists and was not written by tools/export.py for second.py'
    ):
        run_tool('export', inputs / 'second.py', inputs / 'toy.pth', out)
    assert files(out) == before


def test_an_export_can_be_repeated_and_exported_elsewhere(run_tool, inputs, tmp_path):
    out = tmp_path / 'out'
    run_tool('export', inputs / 'toy.py', inputs / 'toy.pth', out)
    first = files(out)
    checkpoint = torch.load(inputs / 'toy.pth', weights_only=False)
    checkpoint['state_dict']['decoder.fc.bias'] += 1
    # Without the config of its training, the dictionary may differ from it.
    torch.save(dict(state_dict=checkpoint['state_dict']), inputs / 'toy.pth')
    (inputs / 'digits.txt').write_text('\n'.join('1234567890'))
    run_tool('export', inputs / 'toy.py', inputs / 'toy.pth', out)
    second = files(out)
    assert first.keys() == second.keys() and second['digits.txt'].startswith(b'1')
    assert first['toy.pth'] != second['toy.pth']
    # The config in a checkpoint refers to the dictionary beside it.
    assert f"'{out}/digits.txt'" in torch.load(out / 'toy.pth')['meta']['cfg']

    run_tool('export', out / 'toy.py', out / 'toy.pth', tmp_path / 'again')
    assert (tmp_path / 'again/toy.py').read_bytes() == second['toy.py']
    with pytest.raises(ValueError, match='is an input of this command'):
        run_tool('export', out / 'toy.py', out / 'toy.pth', out)
    assert files(out) == second


@pytest.mark.parametrize(
    'step, error', [('random_batch', KeyboardInterrupt), ('same_predictions', RuntimeError)]
)
def test_a_failed_export_leaves_nothing(inputs, tmp_path, monkeypatch, step, error):
    cfg = load_config(str(inputs / 'toy.py'))

    def fail(*_, **__):
        assert (tmp_path / 'new/out/.toy.py.partial/toy.pth').exists()
        if step == 'random_batch':
            raise error
        return False

    monkeypatch.setattr(export, step, fail)
    with pytest.raises(error):
        export.export(cfg, str(inputs / 'toy.pth'), str(tmp_path / 'new/out'), 'toy')
    assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('value', ['nan', '-inf'])
def test_weights_that_are_not_finite_are_named(run_tool, inputs, tmp_path, value):
    checkpoint = torch.load(inputs / 'toy.pth', weights_only=False)
    for name in ('weight', 'bias'):
        checkpoint['state_dict'][f'decoder.fc.{name}'].fill_(float(value))
    torch.save(checkpoint, inputs / 'toy.pth')
    for arguments in (
        ['export', inputs / 'toy.py', inputs / 'toy.pth', tmp_path / 'out'],
        ['test', inputs / 'toy.py', inputs / 'toy.pth', '--work-dir', tmp_path / 'test'],
    ):
        with pytest.raises(
            ValueError,
            match='must be finite numbers, got NaN or infinity in '
            r'decoder\.fc\.weight, decoder\.fc\.bias of .*toy.pth'
            '.: its training has diverged',
        ):
            run_tool(*arguments)
    assert not (tmp_path / 'out').exists() and not list(tmp_path.glob('test/*/*.json'))


def test_a_checkpoint_of_another_dictionary_is_read_nowhere(inputs, tmp_path):
    cfg = Config.fromfile(inputs / 'toy.py')
    (tmp_path / 'other.txt').write_text('\n'.join('1234567890'))
    cfg.model.decoder.dictionary.dict_file = str(tmp_path / 'other.txt')
    for read in (
        lambda: export.load_plain(cfg, str(inputs / 'toy.pth')),
        lambda: export.export(cfg, str(inputs / 'toy.pth'), str(tmp_path / 'out'), 'toy'),
        lambda: export_onnx(cfg, str(inputs / 'toy.pth'), str(tmp_path / 'toy.onnx')),
    ):
        with pytest.raises(ValueError, match='must be trained with the dictionary of the config'):
            read()
    assert not (tmp_path / 'out').exists()


def test_the_folder_of_an_export_has_no_quotes(inputs, tmp_path):
    cfg = Config.fromfile(inputs / 'toy.py')
    with pytest.raises(ValueError, match='out_dir must be a folder without quotes'):
        export.export(cfg, str(inputs / 'toy.pth'), str(tmp_path / "it's"), 'toy')
