from unittest.mock import patch

import cv2
import numpy as np
import pytest
from mmengine.config import Config

PACK = dict(type='PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape'))
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(40, 16)),
    dict(
        type='mmocr_da.MultiView',
        transforms=[
            dict(
                type='mmocr_da.SomeOf',
                num=(2, 3),
                transforms=[
                    dict(type='mmocr_da.CropAndResize', top=(0, 0.4)),
                    dict(type='mmocr_da.LinearContrast'),
                    dict(type='mmocr_da.PiecewiseAffine'),
                ],
            ),
            PACK,
        ],
    ),
]


@pytest.fixture
def browse(load_tool):
    return load_tool('analysis_tools/browse_views')


@pytest.fixture
def config(tmp_path):
    """The config of a folder of four blue images with noise in their upper half."""
    folder = tmp_path / 'images'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        image = np.zeros((32, 80, 3), np.uint8)
        image[..., 0] = 60 * i + 40
        image[:16] = rng.integers(0, 256, (16, 80, 3))
        cv2.imwrite(str(folder / f'{i}.png'), image)

    def make(pipeline=PIPELINE, plain=False):
        dataset = dict(type='mmocr_da.UnlabelledDataset', img_dir=str(folder))
        if plain:
            dataset.update(pipeline=pipeline)
        else:
            dataset = dict(type='mmocr_da.SeededDataset', datasets=dataset, pipeline=pipeline)
        return Config(dict(train_dataloader=dict(batch_size=2, dataset=dataset)))

    return make


def flat(rows):
    return [image for row in rows for image in (row.image, *(v for p in row.views for v in p))]


@pytest.mark.parametrize('plain', [False, True])
def test_the_seed_decides_about_images_and_views(browse, config, plain):
    first, same, other = (
        flat(browse.draw_views(config(plain=plain), 4, 2, seed)) for seed in (1, 1, 2)
    )
    assert len(first) == 4 * (1 + 2 * 2)
    assert all(image.shape == (16, 40, 3) for image in first)
    assert all(np.array_equal(x, y) for x, y in zip(first, same))
    assert any(not np.array_equal(x, y) for x, y in zip(first, other))


def test_without_a_source_the_target_is_shown(browse, config):
    cfg = config()
    folder = cfg.train_dataloader.dataset.datasets
    cfg.train_dataloader.dataset = dict(
        type='mmocr_da.TwoDomainDataset', source=None, target=folder, pipeline=PIPELINE
    )
    assert len(browse.draw_views(cfg, 4, 1)) == 4
    cfg.train_dataloader.dataset.pipeline = [*PIPELINE[:2], PACK]
    assert len(browse.draw_views(cfg, 4, 1, strength=1.0)) == 4


def test_every_row_has_another_image_and_every_view_is_another(browse, config):
    rows = browse.draw_views(config(), 99, 3)
    assert sorted(int(row.image[-1, 0, 2]) for row in rows) == [40, 100, 160, 220]
    for row in rows:
        views = [view for pair in row.views for view in pair]
        assert [len(pair) for pair in row.views] == [2, 2, 2]
        assert len({view.tobytes() for view in views}) == 6


@pytest.mark.parametrize('color_type', ['color', 'grayscale'])
def test_without_augmentation_views_are_the_image_in_its_colours(browse, config, color_type):
    pipeline = [
        dict(type='LoadImageFromFile', color_type=color_type),
        dict(type='mmocr_da.MultiView', num_views=3, transforms=[PACK]),
    ]
    for row in browse.draw_views(config(pipeline), 2, 1):
        red, green, blue = row.image[-1, 0]
        assert (red == green == 0 < blue) if color_type == 'color' else (red == green == blue)
        assert len(row.views[0]) == 3
        assert all(np.array_equal(view, row.image) for view in row.views[0])


def test_the_command_line_draws_the_sheet_and_the_same_again(browse, config, tmp_path, capsys):
    config().dump(tmp_path / 'config.py')
    pictures = []
    for name, seed in (('a', 3), ('b', 3), ('c', 4)):
        out = tmp_path / f'{name}.png'
        with patch(
            'sys.argv',
            [
                'browse_views.py',
                str(tmp_path / 'config.py'),
                '--num',
                '2',
                '--pairs',
                '1',
                '--seed',
                str(seed),
                '--out',
                str(out),
            ],
        ):
            browse.main()
        assert str(out) in capsys.readouterr().out
        pictures.append(cv2.imread(str(out)))
    assert pictures[0].std() > 1
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert pictures[0].shape != pictures[2].shape or (pictures[0] != pictures[2]).any()


def test_a_config_without_views_is_an_error_that_names_what_it_has(browse, config):
    with pytest.raises(ValueError, match='mmocr_da.MultiView .* got LoadImageFromFile, Pack'):
        browse.draw_views(config([PIPELINE[0], PACK]), 2)


PLAIN = [PIPELINE[0], PIPELINE[1], PACK]
AUGMENTED = [PIPELINE[0], dict(type='mmocr_da.TextAugmentation', strength=0.7), *PLAIN[1:]]


def test_the_augmentation_of_source_images_is_shown_as_the_model_gets_it(browse, config):
    rows = browse.draw_views(config(AUGMENTED), 3, 4)
    for row in rows:
        assert row.image.shape == (32, 80, 3)  # as loaded
        assert [len(pair) for pair in row.views] == [1] * 4
        assert all(view.shape == (16, 40, 3) for (view,) in row.views)
    # Nothing is drawn with probability 0.0029 at strength 1, and 0.03 at 0.7.
    assert len({view.tobytes() for row in rows for (view,) in row.views}) >= 9


@pytest.mark.parametrize('pipeline', [PLAIN, AUGMENTED], ids=['none', 'other'])
@pytest.mark.parametrize('plain', [False, True])
def test_any_strength_is_tried_in_any_config(browse, config, pipeline, plain):
    tried = browse.draw_views(config(pipeline, plain), 3, 2, strength=0.7)
    expected = browse.draw_views(config(AUGMENTED, plain), 3, 2)
    assert all(np.array_equal(x, y) for x, y in zip(flat(tried), flat(expected)))
    for row in browse.draw_views(config(pipeline, plain), 3, 2, strength=0):
        for (view,) in row.views:
            expected = cv2.resize(row.image, (40, 16))
            np.testing.assert_array_equal(view, expected)


def test_of_two_domains_the_source_is_shown(browse, tmp_path):
    """The images of the target are smaller and would be seen as such."""
    for folder, height in (('source', 30), ('target', 20)):
        (tmp_path / folder).mkdir()
        for i in range(3):
            image = np.random.default_rng(i).integers(0, 256, (height, 60, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / folder / f'{i}.png'), image)
    (tmp_path / 'source.tsv').write_text(''.join(f'source/{i}.png\ttext\n' for i in range(3)))
    dataset = dict(
        type='mmocr_da.TwoDomainDataset',
        source=dict(
            type='RecogTextDataset',
            data_root=str(tmp_path),
            ann_file='source.tsv',
            parser_cfg=dict(type='LineStrParser', separator='\t'),
        ),
        target=dict(type='mmocr_da.UnlabelledDataset', img_dir=str(tmp_path / 'target')),
        pipeline=PLAIN,
        unicode_form='NFC',
    )
    cfg = Config(dict(train_dataloader=dict(batch_size=2, dataset=dataset)))
    rows = browse.draw_views(cfg, 9, 2, strength=1.0)
    assert [row.image.shape for row in rows] == [(30, 60, 3)] * 3


@pytest.mark.parametrize('kwargs', [dict(num=0), dict(num=1, pairs=0)])
def test_nothing_to_draw_is_an_error(browse, config, kwargs):
    with pytest.raises(ValueError, match='must be at least 1, got 0'):
        browse.draw_views(config(), **kwargs)


@pytest.mark.parametrize(
    'model, windows',
    [
        (dict(type='mmocr_da.SeqCLR', mapping=dict(type='mmocr_da.WindowToInstance')), 5),
        (dict(mapping=dict(type='mmocr_da.WindowToInstance', num_windows=3)), 3),
        (dict(mapping=dict(type='mmocr_da.FrameToInstance')), 1),
        (dict(mapping=None), 1),
        (None, 1),
    ],
)
def test_windows_are_those_of_the_loss(browse, model, windows):
    assert browse.num_windows(Config(dict(model=model))) == windows


def test_padding_of_views_is_known(browse, config):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(
            type='mmocr_da.MultiView',
            transforms=[
                dict(type='RescaleToHeight', height=16, min_width=16, max_width=40),
                dict(type='PadToWidth', width=80),
                dict(PACK, meta_keys=('img_path', 'valid_ratio')),
            ],
        ),
    ]
    for row in browse.draw_views(config(pipeline), 2, 1):
        assert row.valid == [[0.5, 0.5]] and row.views[0][0].shape == (16, 80, 3)
