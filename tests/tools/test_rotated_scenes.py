"""The converter of scenes: reproducible, words where the polygons are, and MMOCR reads it."""

import importlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
from helpers.files import hashes
from mmocr.datasets import OCRDataset

FOLDER = Path(__file__).parents[2] / 'tools/dataset_converters'
SIZE = 192


@pytest.fixture(scope='module')
def converter():
    """With two fonts of matplotlib, which are always there."""
    import matplotlib

    fonts = Path(matplotlib.get_data_path()) / 'fonts' / 'ttf'
    files = [fonts / f'{name}.ttf' for name in ('DejaVuSans', 'cmr10')]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        module = importlib.import_module('rotated_scenes')
        patch.setattr(module, 'font_files', lambda path=None: files)
        # Reading the fonts takes longer than the images of a test.
        faces = module.load_faces(files, module.ALPHABET)
        patch.setattr(module, 'load_faces', lambda files, alphabet: faces)
        yield module


@pytest.fixture
def convert(converter, tmp_path):

    def run(*options, out='data'):
        converter.main(
            [
                '--out-dir',
                str(tmp_path / out),
                '--num-train',
                '6',
                '--num-test',
                '3',
                '--size',
                str(SIZE),
                *map(str, options),
            ]
        )
        return tmp_path / out

    return run


@pytest.fixture(scope='module')
def scenes(converter):
    faces = converter.load_faces(None, None)
    return [converter.draw(faces, 256, np.random.default_rng(i)) for i in range(20)]


def images(folder):
    return {name: h for name, h in hashes(folder).items() if name.endswith('.jpg')}


def test_a_seed_gives_the_same_files_and_another_seed_others(convert):
    first, again, other = convert(), convert(out='b'), convert('--seed', 1, out='c')
    assert hashes(first) == hashes(again)
    assert len(images(first)) == 9
    # Nor are the images of one split those of the other.
    assert len({*images(first).values(), *images(other).values()}) == 18


def test_asking_for_more_images_leaves_the_first_as_they_are(convert):
    few, more = convert(), convert('--num-train', 8, '--num-test', 4, out='b')
    assert len(images(more)) == 12 and images(few).items() <= images(more).items()
    for split in ('train', 'test'):
        lists = [
            json.loads((folder / f'instances_{split}.json').read_text())['data_list']
            for folder in (few, more)
        ]
        assert lists[0] == lists[1][: len(lists[0])]


def test_every_annotation_has_its_image_and_rectangles_in_it(convert):
    out, words = convert(), 0
    for split, count in (('train', 6), ('test', 3)):
        content = json.loads((out / f'instances_{split}.json').read_text())
        assert content['metainfo']['dataset_type'] == 'TextDetDataset'
        assert content['metainfo']['task_name'] == 'textdet'
        assert len(content['data_list']) == count
        for entry in content['data_list']:
            assert entry['img_path'].startswith(f'images/{split}/')
            image = cv2.imread(str(out / entry['img_path']))
            assert image.shape == (entry['height'], entry['width'], 3) == (SIZE, SIZE, 3)
            for instance in entry['instances']:
                assert instance['bbox_label'] == 0 and instance['ignore'] is False
                corners = np.array(instance['polygon']).reshape(4, 2)
                assert corners.min() >= 0 and corners.max() <= SIZE
                assert instance['bbox'] == [*corners.min(0), *corners.max(0)]
                words += 1
    assert words > 9


def test_words_are_rectangles_apart_from_each_other(scenes):
    count = 0
    for image, polygons in scenes:
        assert image.shape == (256, 256, 3) and image.dtype == np.uint8
        for corners in polygons:
            along, down = corners[1] - corners[0], corners[3] - corners[0]
            np.testing.assert_allclose(corners[2], corners[0] + along + down, atol=1e-6)
            assert abs(along @ down) < 1e-6
            assert along[0] * down[1] - along[1] * down[0] > 0  # clockwise, as MMOCR has them
            assert 10 < np.linalg.norm(down) < 41
            assert corners.min() >= 1.99 and corners.max() <= 254.01
        outlines = shapely.polygons(np.stack(polygons)) if polygons else np.array([])
        distances = shapely.distance(outlines[:, None], outlines[None])
        assert (distances[~np.eye(len(outlines), dtype=bool)] > 2).all()
        count += len(polygons)
    assert count > 40


def test_angles_are_mostly_small_and_sometimes_any(converter):
    angles = []
    for i in range(300):
        blank = np.full((128, 128, 3), 128, np.float32)
        polygon = converter.place(
            blank,
            np.zeros((128, 128), np.uint8),
            np.ones((20, 60), np.float32),
            np.random.default_rng(i),
        )
        (x, y), length = polygon[1] - polygon[0], 60
        assert np.hypot(x, y) == pytest.approx(length)
        angles.append(abs(np.degrees(np.arctan2(y, x))))
    assert 0.55 < np.mean(np.array(angles) < 25) < 0.85
    assert 0.1 < np.mean(np.array(angles) > 45) < 0.25 and max(angles) <= 90


@pytest.mark.parametrize('seed', range(8))
def test_ink_is_inside_its_polygon_and_reads_along_it(converter, seed):
    """On a plain ground all that changes is ink."""
    image, taken = np.full((160, 160, 3), 128, np.float32), np.zeros((160, 160), np.uint8)
    ink = np.zeros((24, 72), np.float32)
    ink[:, :24] = ink[:8] = 1  # an L that lies on its back
    polygon = converter.place(image, taken, ink, np.random.default_rng(seed))
    changed = np.abs(image - 128).max(2) > 20
    rows, columns = np.nonzero(changed)
    outline = shapely.Polygon(polygon)
    points = shapely.points(columns, rows)
    assert shapely.distance(outline, points).max() < 1.5
    assert outline.minimum_rotated_rectangle.area == pytest.approx(24 * 72, rel=1e-6)
    # Read back along the polygon, it is the ink again.
    turn = cv2.getPerspectiveTransform(
        polygon.astype(np.float32), np.float32([[0, 0], [72, 0], [72, 24], [0, 24]])
    )
    back = cv2.warpPerspective(changed.astype(np.float32), turn, (72, 24))
    assert np.corrcoef(back.ravel(), ink.ravel())[0, 1] > 0.85
    # The place is taken.
    inside = shapely.contains(outline.buffer(-1), shapely.points(*np.indices((160, 160))[::-1]))
    assert taken[inside].all() and taken.sum() < 1.2 * 24 * 72


def test_words_stand_out_from_the_ground_and_are_lighter_or_darker(converter):
    darker = 0
    for i in range(40):
        image = np.full((128, 128, 3), 128, np.float32)
        polygon = converter.place(
            image,
            np.zeros((128, 128), np.uint8),
            np.ones((20, 60), np.float32),
            np.random.default_rng(i),
        )
        x, y = polygon.mean(0).round().astype(int)
        word = image[y - 4 : y + 5, x - 4 : x + 5].mean()
        # Surfaces have lights of their own.
        assert abs(word - 128) > 15
        darker += word < 128
    assert 8 < darker < 32


def test_a_word_that_has_no_place_is_left_out(converter):
    ink = np.ones((20, 60), np.float32)
    image, taken = np.full((128, 128, 3), 128, np.float32), np.ones((128, 128), np.uint8)
    assert converter.place(image, taken, ink, np.random.default_rng(0)) is None
    wide = np.ones((20, 300), np.float32)
    assert converter.place(image, taken * 0, wide, np.random.default_rng(0)) is None
    assert (image == 128).all()


def test_a_word_is_tight_ink(converter):
    (face,) = converter.load_faces(None, None)[:1]
    widths = set()
    for i in range(30):
        ink = converter.write_word(face, np.random.default_rng(i))
        assert ink.ndim == 2 and 0 <= ink.min() and 0.5 < ink.max() <= 1
        assert 5 < len(ink) <= 40 and ink.shape[1] > len(ink) / 2
        assert (ink[[0, -1]] > 0.05).any(1).all()
        widths.add(ink.shape[1])
    assert len(widths) > 10


def test_the_images_differ_from_the_ground_where_words_are(scenes):
    for image, polygons in scenes:
        grey = image.mean(2)
        for polygon in polygons:
            mask = cv2.fillPoly(np.zeros(grey.shape, np.uint8), [np.rint(polygon).astype(int)], 1)
            assert np.ptp(np.percentile(grey[mask > 0], [5, 95])) > 20


def test_a_page_is_dark_lines_of_words_on_bright_paper(converter):
    faces = converter.load_faces(None, None)
    count = 0
    for i in range(10):
        image, polygons = converter.draw_page(faces, 256, np.random.default_rng(i))
        assert image.shape == (256, 256, 3) and image.dtype == np.uint8
        mask = np.zeros((256, 256), np.uint8)
        for corners in polygons:
            assert corners.min() >= 0 and corners.max() <= 256
            along, down = corners[1] - corners[0], corners[3] - corners[0]
            assert abs(np.degrees(np.arctan2(along[1], along[0]))) < 2.01
            assert along[0] * down[1] - along[1] * down[0] > 0  # clockwise, as MMOCR has them
            cv2.fillPoly(mask, [np.rint(corners).astype(int)], 1)
        grey = image.mean(2)
        paper, ink = grey[cv2.dilate(mask, np.ones((5, 5))) == 0], grey[mask > 0]
        assert np.median(paper) > 150 and np.percentile(ink, 5) < np.median(paper) - 50
        assert np.percentile(paper, 1) > np.percentile(ink, 5)  # no ink is outside
        outlines = shapely.polygons(np.stack(polygons))
        assert shapely.union_all(outlines).area == pytest.approx(shapely.area(outlines).sum())
        count += len(polygons)
    assert count > 100


def test_pages_have_a_stamp_of_their_own_and_scenes_the_one_they_had(convert):
    scenes, pages = convert(), convert('--style', 'pages', out='pages')
    stamps = [json.loads((folder / 'complete.json').read_text()) for folder in (scenes, pages)]
    assert 'style' not in str(stamps[0]) and "'style': 'pages'" in str(stamps[1])
    assert not {*images(scenes).values()} & {*images(pages).values()}
    with pytest.raises(ValueError, match='style'):
        convert('--style', 'pages')


def test_mmocr_reads_it(convert):
    out = convert()
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadOCRAnnotations', with_bbox=True, with_polygon=True, with_label=True),
    ]
    for split, count in (('train', 6), ('test', 3)):
        dataset = OCRDataset(
            data_root=str(out), ann_file=f'instances_{split}.json', pipeline=pipeline
        )
        entries = json.loads((out / f'instances_{split}.json').read_text())['data_list']
        assert len(dataset) == count and dataset.metainfo['category'] == [dict(id=0, name='text')]
        for item, entry in zip(dataset, entries):
            assert item['img'].shape == (SIZE, SIZE, 3)
            wanted = [instance['polygon'] for instance in entry['instances']]
            np.testing.assert_allclose(item['gt_polygons'], wanted)
            assert not item['gt_bboxes_labels'].any() and not item['gt_ignored'].any()
            assert len(item['gt_bboxes_labels']) == len(item['gt_bboxes']) == len(wanted)


def test_a_second_run_does_nothing_and_other_options_need_force(convert, capsys):
    out = convert()
    before = {path: path.stat().st_mtime_ns for path in out.rglob('*')}
    convert()
    assert 'nothing to do' in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob('*')}
    with pytest.raises(ValueError, match=f'size: {SIZE} there, 128 requested.*--force'):
        convert('--size', 128)
    assert hashes(convert('--size', 128, '--force')) == hashes(convert('--size', 128, out='b'))


def test_a_killed_run_leaves_nothing(convert, converter, monkeypatch, tmp_path):

    def killed(root, split, *args):
        (root / split).mkdir()
        if split == 'test':
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(converter, 'write_split', killed)
        with pytest.raises(KeyboardInterrupt):
            convert()
    assert not (tmp_path / 'data').exists()
    assert hashes(convert()) == hashes(convert(out='b'))
    assert not (tmp_path / '.data.partial').exists()


@pytest.mark.parametrize(
    'name,content,message',
    [
        ('thesis.tex', 'x', 'was not written by this converter'),
        ('complete.json', '{"converter": "styled_characters", "version": 1}', 'another converter'),
    ],
)
def test_a_foreign_folder_is_left_alone(convert, tmp_path, name, content, message):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / name).write_text(content)
    for options in ([], ['--force']):
        with pytest.raises(ValueError, match=message):
            convert(*options)
    assert [path.name for path in (tmp_path / 'data').iterdir()] == [name]


def test_images_that_are_too_small(convert, tmp_path):
    with pytest.raises(ValueError, match='--size must be at least 64 px, got 63'):
        convert('--size', 63)
    assert not (tmp_path / 'data').exists()
    assert len(images(convert('--size', 64))) == 9


def test_no_font(convert, converter, monkeypatch):
    monkeypatch.setattr(converter, 'load_faces', lambda files, alphabet: [])
    with pytest.raises(ValueError, match='no font can print.*--fonts'):
        convert()


def test_a_third_set_leaves_the_others_as_they_are(convert):
    plain, more = convert(), convert('--num-val', 2, out='b')
    assert images(plain).items() < images(more).items() and len(images(more)) == 11
    assert len({*images(more).values()}) == 11
    assert not (plain / 'instances_val.json').exists()
    assert len(json.loads((more / 'instances_val.json').read_text())['data_list']) == 2


def test_words_of_a_largest_angle_of_0_are_axis_parallel(convert, converter):
    out, count = convert('--max-angle', 0), 0
    for entry in json.loads((out / 'instances_train.json').read_text())['data_list']:
        for instance in entry['instances']:
            left, top, right, bottom = instance['bbox']
            assert instance['polygon'] == [left, top, right, top, right, bottom, left, bottom]
            count += 1
    assert count > 9
    for options in (('--max-angle', 91), ('--max-angle', 5, '--style', 'pages')):
        with pytest.raises(ValueError, match='--max-angle must be from 0 to 90, for scenes, got'):
            convert(*options)
