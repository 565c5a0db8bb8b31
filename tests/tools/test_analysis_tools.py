import copy
import os

import cv2
import lmdb
import numpy as np
import pytest
import torch
from helpers.scalars import write_scalars
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmocr.registry import DATASETS, MODELS

from mmocr_da.models.layers.batch_instance_norm import BatchInstanceNorm2d
from mmocr_da.visualization.curves import PANELS


@pytest.fixture(scope='module')
def curves(load_tool):
    return load_tool('analysis_tools/plot_curves')


@pytest.fixture(scope='module')
def sheet(load_tool):
    return load_tool('analysis_tools/prediction_sheet')


@pytest.fixture
def run(tmp_path):
    """Writes ``scalars.json`` of one start of a run; returns the work directory."""
    return lambda *rows, name='run', **options: write_scalars(tmp_path / name, *rows, **options)


def is_picture(path):
    image = cv2.imread(str(path))
    return image is not None and image.std() > 1


def test_every_scalar_finds_its_panel_and_no_other(curves, run, tmp_path):
    row = dict(
        loss=1.0,
        loss_global=0.5,
        global_lambda=0.1,
        local_gate_target=0.4,
        local_gate_source=1,
        global_acc_source=0.5,
        global_acc_target=0.6,
        self_training_weight=1.0,
        self_training_kept=0.4,
        self_training_confidence=0.8,
        self_training_threshold=0.7,
        lr=0.1,
        time=1,
        step=1,
    )
    row.update({'bin_gates_below_0.1': 0.1, 'bin_gates_above_0.9': 0.6})
    health = {
        'global/a_distance': 0.2,
        'global/probe_a_distance': 1.2,
        'global/gradient_ratio': 1.0,
    }
    row.update({f'health/{name}': value for name, value in health.items()})
    validation = {
        'source/recog/cer': 0.1,
        'target/recog/cer': 0.2,
        'target/recog/wer': 0.3,
        'target/recog/word_acc': 0.7,
        'step': 1,
    }
    drawn = curves.plot_curves([run(row, validation)], str(tmp_path / 'out.png'))
    assert drawn == {
        'loss': 2,
        'lambda and weights': 2,
        'A-distance': 2,
        'gradient ratio': 1,
        'share of words kept': 1,
        'confidence of words': 2,
        'gate pass rate': 2,
        'discriminator accuracy': 2,
        'share of gates': 2,
        'CER': 2,
        'WER': 1,
    }
    assert is_picture(tmp_path / 'out.png')


def test_a_run_of_the_toy_has_every_panel_but_that_of_gates(curves, trained, tmp_path):
    drawn = curves.plot_curves([str(trained)], str(tmp_path / 'out.png'))
    assert PANELS.keys() - drawn.keys() == {
        'share of gates',
        'A-distance',
        'gradient ratio',
        'share of words kept',
        'confidence of words',
    }


def test_several_runs_share_the_panels(curves, run, tmp_path):
    runs = [
        run(dict(loss=1.0, step=1), name='a'),
        run(dict(loss=2.0, loss_x=1.0, step=1), name='b'),
    ]
    assert curves.plot_curves(runs, str(tmp_path / 'out.png')) == {'loss': 3}


def test_several_seeds_are_one_curve_of_means_where_all_have_a_value(curves, run, tmp_path):
    seeds = [
        run(dict(loss=x, step=1), dict(loss=3 * x, only_here=1, step=2), *more, name=str(x))
        for x, more in ((1.0, []), (2.0, [dict(loss=9.0, step=3)]))
    ]
    drawn = curves.plot_curves([','.join(seeds), seeds[0]], str(tmp_path / 'out.png'))
    assert drawn == {'loss': 2}


def test_scalars_can_be_chosen_by_name(curves, run, tmp_path):
    work_dir = run(
        {
            'loss': 1.0,
            'target/recog/wer': 0.3,
            'target/C_s/wer': 0.4,
            'source/recog/wer': 0.1,
            'step': 1,
        }
    )
    drawn = curves.plot_curves([work_dir], str(tmp_path / 'out.png'), only='target/.*/wer$')
    assert drawn == {'WER': 2}


def test_what_cannot_be_plotted_is_an_error(curves, run, tmp_path):
    with pytest.raises(ValueError, match='a run must be a work directory .* got /no/such'):
        curves.plot_curves(['/no/such'], 'out.png')
    work_dir = run(dict(lr=1.0, step=1))
    with pytest.raises(ValueError, match='runs must have logged one of loss, lambda'):
        curves.plot_curves([work_dir], 'out.png')
    with pytest.raises(ValueError, match='a different name for each run, got a, b for 1 runs'):
        curves.plot_curves([work_dir], 'out.png', labels=['a', 'b'])


def test_samples_are_of_the_last_dataset_and_the_same_for_a_seed(sheet, toy):
    cfg = Config.fromfile(str(toy))
    items, texts = sheet.draw_samples(cfg, 4, seed=3)
    assert (items, texts) == sheet.draw_samples(cfg, 4, seed=3)
    assert all(os.path.basename(item['img_path']).startswith('target_') for item in items)
    assert len({item['img_path'] for item in items}) == 4
    all_items, all_texts = sheet.draw_samples(cfg, 100, dataset=0)
    assert [os.path.basename(i['img_path']) for i in all_items] == [
        f'source_{i}.png' for i in range(6)
    ]
    assert all_texts == ['12', '345', '6', '77', '890', '21']


def test_predictions_are_those_of_the_test_run(sheet, toy, trained, run_tool, tmp_path):
    import pickle

    checkpoint = str(trained / 'iter_2.pth')
    run_tool(
        'test',
        toy,
        checkpoint,
        '--work-dir',
        tmp_path,
        '--save-preds',
        '--cfg-options',
        'test_dataloader.batch_size=1',
    )
    predictions = pickle.loads((tmp_path / 'iter_2.pth_predictions.pkl').read_bytes())
    expected = [p['pred_text']['item'] for p in predictions]
    cfg = Config.fromfile(str(toy))
    items = [item for dataset in (0, 1) for item in sheet.draw_samples(cfg, 6, dataset=dataset)[0]]
    read = sheet.read_images(cfg, checkpoint, items)
    assert read == expected and any(read)


def test_the_command_line_draws_a_sheet(toy, trained, run_tool, tmp_path, capsys):
    models = [
        part for name in ('old', 'new') for part in ('--model', name, toy, trained / 'iter_2.pth')
    ]
    run_tool(
        'analysis_tools/prediction_sheet', *models, '--out', tmp_path / 'sheet.png', '--num', 2
    )
    assert is_picture(tmp_path / 'sheet.png')
    assert 'new: 0/2 right' in capsys.readouterr().out


@pytest.fixture
def in_lmdb(toy, toy_lmdb):
    """``in_lmdb(**options)``: the toy's config with its target as LMDB, as the test data."""

    def make(**options):
        cfg = Config.fromfile(str(toy))
        cfg.test_dataloader.dataset = dict(
            type='RecogLMDBDataset',
            ann_file=str(toy_lmdb),
            test_mode=True,
            pipeline=cfg.test_pipeline,
            **options,
        )
        return cfg

    return make


@pytest.mark.parametrize('nested', [False, True])
def test_an_lmdb_is_read_as_its_files_are(sheet, toy, trained, in_lmdb, nested):
    files = Config.fromfile(str(toy))
    checkpoint = str(trained / 'iter_2.pth')
    expected, ground_truths = sheet.draw_samples(files, 4)
    cfg = in_lmdb()
    if nested:
        data = cfg.test_dataloader
        data.dataset = dict(type='RepeatDataset', times=1, dataset=data.dataset)
    items, texts = sheet.draw_samples(cfg, 4)
    assert texts == ground_truths and all('/target/image-0' in item['img_path'] for item in items)
    assert sheet.read_images(cfg, checkpoint, items) == sheet.read_images(
        files, checkpoint, expected
    )
    for pictures in zip(sheet.load_pictures(items), sheet.load_pictures(expected)):
        np.testing.assert_array_equal(*pictures)


@pytest.mark.parametrize(
    'lost, message',
    [
        ('image', 'must hold an image and a label .* image-000000002 without its image'),
        ('label', 'image-000000002 without a label'),
    ],
)
def test_an_lmdb_that_lacks_something_is_named(sheet, in_lmdb, tmp_path, lost, message):
    path = str(tmp_path / 'lost')
    with lmdb.open(path) as environment, environment.begin(write=True) as transaction:
        for key, value in {
            'num-samples': b'2',
            'image-000000001': b'',
            'image-000000002': b'',
            'label-000000001': b'1',
            'label-000000002': b'2',
        }.items():
            if key != f'{lost}-000000002':
                transaction.put(key.encode(), value)
    cfg = in_lmdb()
    cfg.test_dataloader.dataset.ann_file = path
    with pytest.raises(ValueError, match=message):
        sheet.draw_samples(cfg, 2)


def test_samples_that_do_not_exist_are_an_error(sheet, toy):
    with pytest.raises(ValueError, match='index of one of the 2 test datasets, 0 to 1, got 2'):
        sheet.draw_samples(Config.fromfile(str(toy)), 2, dataset=2)
    with pytest.raises(ValueError, match='num must be an integer of at least 1, got 0'):
        sheet.draw_samples(Config.fromfile(str(toy)), 0)


def test_two_models_of_one_name_are_an_error(run_tool, toy, tmp_path, capsys):
    model = ['--model', 'new', toy, tmp_path / 'toy.pth']
    with pytest.raises(SystemExit):
        run_tool('analysis_tools/prediction_sheet', *model, *model, '--out', tmp_path / 'sheet.png')
    assert 'each --model needs a different name, got new, new' in capsys.readouterr().err


def test_an_lmdb_for_mmocrs_own_pipeline_is_read_as_in_mmocr(sheet, trained, in_lmdb):
    checkpoint = str(trained / 'iter_2.pth')
    cfg = in_lmdb(img_color_type='grayscale')
    cfg.test_dataloader.dataset.pipeline[0] = dict(type='LoadImageFromNDArray')
    items, _ = sheet.draw_samples(cfg, 6)
    assert len(items) == 6
    model = MODELS.build(copy.deepcopy(cfg.model)).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=False)['state_dict'])
    data = DATASETS.build(cfg.test_dataloader.dataset)
    with torch.no_grad():
        expected = [model.test_step(pseudo_collate([sample]))[0].pred_text.item for sample in data]
    assert sheet.read_images(cfg, checkpoint, items) == expected


def test_images_that_show_nothing_are_counted_and_named(sheet, tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 255, (16, 32, 3), np.uint8)
    for name, image in (('a', noise), ('black', noise * 0), ('c', noise), ('grey', noise * 0 + 9)):
        cv2.imwrite(str(tmp_path / f'{name}.png'), image)
    items = [dict(img_path=str(path)) for path in sorted(tmp_path.glob('*.png'))]
    pictures = sheet.load_pictures(items)
    assert [len(np.unique(picture)) for picture in pictures][1::2] == [1, 1]
    np.testing.assert_array_equal(pictures[0], noise[..., ::-1])
    assert capsys.readouterr().out == (
        f'2 of 4 images have one colour only and show nothing: {tmp_path}/black.png, '
        f'{tmp_path}/grey.png\n'
    )


def test_images_without_labels_are_an_error(sheet, toy):
    cfg = Config.fromfile(str(toy))
    cfg.test_dataloader.dataset = dict(
        type='mmocr_da.UnlabelledDataset', img_dir=str(toy.parent), pipeline=cfg.test_pipeline
    )
    with pytest.raises(ValueError, match='must have labels, got none for 2 images of mmocr_da.Unl'):
        sheet.draw_samples(cfg, 2)


@pytest.mark.parametrize(
    'tool, arguments',
    [
        ('prediction_sheet', ['--model', 'm', 'toy.py', 'toy.pth']),
        ('plot_gates', ['toy.pth']),
        ('browse_views', ['toy.py']),
        ('surrogate_quality', ['toy.py', 'toy.pth']),
        ('plot_curves', ['run']),
        ('plot_embeddings', ['toy.py', 'toy.pth']),
        ('plot_attention', ['toy.py', 'toy.pth']),
        ('confusion_matrix', ['toy.py', 'toy.pth']),
    ],
)
@pytest.mark.parametrize(
    'out, message',
    [
        ('mine.png', 'mine.png exists and was not written by'),
        ('toy.pth', 'must be a file that ends in one of'),
        ('missing/new.png --font none', "got 'none', which is neither"),
    ],
)
def test_no_tool_draws_over_a_file_of_the_user(
    run_tool, tmp_path, monkeypatch, tool, arguments, out, message
):
    monkeypatch.chdir(tmp_path)
    for name in ('toy.py', 'toy.pth', 'mine.png'):
        (tmp_path / name).write_text('mine')
    with pytest.raises(ValueError, match=message):
        run_tool(f'analysis_tools/{tool}', *arguments, '--out', *out.split())
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ('toy.py', 'toy.pth', 'mine.png'), 'mine'
    )


def test_a_checkpoint_of_another_model_is_an_error(sheet, toy, tmp_path):
    torch.save(dict(state_dict=dict(weight=torch.zeros(1))), tmp_path / 'other.pth')
    with pytest.raises(RuntimeError, match='Missing key'):
        sheet.read_images(Config.fromfile(str(toy)), str(tmp_path / 'other.pth'), [])


@pytest.fixture
def gates_checkpoint(tmp_path):
    """Trained gates of 0, their moving average at 1, as ``EMAHook`` saves them."""
    norm = BatchInstanceNorm2d(6)
    averaged = {f'backbone.bn.{key}': value for key, value in norm.state_dict().items()}
    trained = {f'module.{key}': value for key, value in averaged.items()}
    trained['module.backbone.bn.rho'] = torch.zeros(6)
    torch.save(dict(state_dict=averaged, ema_state_dict=trained), tmp_path / 'gates.pth')
    return tmp_path / 'gates.pth'


@pytest.mark.parametrize(
    'options, line',
    [
        ([], 'all: 6 gates, 0.0% below 0.1, 100.0% above 0.9'),
        (['--raw'], 'all: 6 gates, 100.0% below 0.1, 0.0% above 0.9'),
        (['--by-stage'], 'backbone.bn: 6 gates, 0.0% below 0.1, 100.0% above 0.9'),
    ],
)
def test_gates_of_a_checkpoint_are_drawn(
    run_tool, gates_checkpoint, tmp_path, capsys, options, line
):
    out_file = tmp_path / 'gates.png'
    run_tool('analysis_tools/plot_gates', gates_checkpoint, '--out', out_file, *options)
    assert is_picture(out_file)
    assert line in capsys.readouterr().out.splitlines()


def test_gates_that_are_no_numbers_are_not_drawn(run_tool, gates_checkpoint, tmp_path):
    checkpoint = torch.load(gates_checkpoint)
    checkpoint['state_dict']['backbone.bn.rho'][2] = float('nan')
    torch.save(checkpoint, gates_checkpoint)
    with pytest.raises(ValueError, match='must be finite numbers, got NaN .* in backbone.bn of'):
        run_tool('analysis_tools/plot_gates', gates_checkpoint, '--out', tmp_path / 'gates.png')
    assert not (tmp_path / 'gates.png').exists()


def test_a_checkpoint_without_gates_is_an_error(run_tool, trained, tmp_path):
    with pytest.raises(ValueError, match='iter_2.pth must be of a model with BatchInstanceNorm'):
        run_tool('analysis_tools/plot_gates', trained / 'iter_2.pth', '--out', tmp_path / 'g.png')


def test_features_are_drawn_before_and_after(run_tool, toy, trained, tmp_path, capsys):
    """The earlier checkpoint is one of the plain model."""
    before = tmp_path / 'before.pth'
    weights = torch.load(trained / 'iter_1.pth', weights_only=False)['state_dict']
    plain = {key: x for key, x in weights.items() if not key.startswith('objectives')}
    torch.save(dict(state_dict=plain), before)
    out_file = tmp_path / 'embeddings.png'
    run_tool('analysis_tools/plot_embeddings', toy, trained / 'iter_2.pth', before,
             '--out', out_file)  # fmt: skip
    assert is_picture(out_file)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(out_file) and 'Characters of the labels.' in lines
    assert [line.split(', A')[0] for line in lines[-7:-1]] == [
        'before: 12 images',
        'after: 12 images',
        'before: 26 characters',
        'after: 26 characters',
        'before: characters by class',
        'after: characters by class',
    ]


def test_target_images_without_labels_have_predicted_characters(
    run_tool, toy, trained, tmp_path, capsys
):
    run_tool('analysis_tools/plot_embeddings', toy, trained / 'iter_2.pth', '--split', 'train',
             '--num', 5, '--out', tmp_path / 'out.png')  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert 'Characters of the labels.' not in lines
    assert any(line.startswith('features: 10 images, A-distance') for line in lines)


def test_attention_is_drawn_on_files_and_on_test_images(run_tool, toy, trained, tmp_path, capsys):
    checkpoint = trained / 'iter_2.pth'
    out_files = tmp_path / 'files.png', tmp_path / 'test.png'
    run_tool('analysis_tools/plot_attention', toy, checkpoint, toy.parent / 'target_1.png',
             toy.parent / 'source_1.png', '--out', out_files[0])  # fmt: skip
    run_tool('analysis_tools/plot_attention', toy, checkpoint, '--num', 2, '--before',
             trained / 'iter_1.pth', '--out', out_files[1])  # fmt: skip
    assert all(map(is_picture, out_files))
    assert str(out_files[1]) in capsys.readouterr().out


def test_confusions_of_files_are_those_of_checkpoints(run_tool, toy, trained, tmp_path, capsys):
    import pickle

    from mmocr_da.engine.inference import item_pipeline, predict
    from mmocr_da.engine.samples import draw_samples
    from mmocr_da.export import load_plain

    cfg = Config.fromfile(str(toy))
    items, labels = draw_samples(cfg, 6)
    files = []
    for iteration in (1, 2):
        model = load_plain(cfg, str(trained / f'iter_{iteration}.pth'))
        samples = predict(model, item_pipeline(cfg, items), items)
        files.append(tmp_path / f'{iteration}.pkl')
        files[-1].write_bytes(pickle.dumps([sample.to_dict() for sample in samples]))
    out_file = tmp_path / 'confusions.png'
    run_tool('analysis_tools/confusion_matrix', files[1], '--before', files[0], '--out', out_file)
    of_files = capsys.readouterr().out.splitlines()
    assert is_picture(out_file)
    run_tool('analysis_tools/confusion_matrix', toy, trained / 'iter_2.pth', '--before',
             trained / 'iter_1.pth', '--out', out_file)  # fmt: skip
    of_checkpoints = capsys.readouterr().out.splitlines()
    assert of_files[0].startswith('before: ') and of_files[0].endswith('errors at 13 characters')
    assert of_checkpoints[-len(of_files) :] == of_files


def test_confusions_need_labels(run_tool, tmp_path):
    import pickle

    samples = [dict(img_path='a.png', pred_text=dict(item='x', score=[1.0]))]
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(samples))
    with pytest.raises(ValueError, match='the images must have labels, got none in .*a.pkl'):
        run_tool('analysis_tools/confusion_matrix', tmp_path / 'a.pkl', '--out', tmp_path / 'c.png')
