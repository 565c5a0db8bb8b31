"""Labels that are not polygons are dropped before anything computes with them."""

import json

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS, TRANSFORMS

import mmocr_da.datasets.check_polygons as module
from mmocr_da.datasets.notes import collect_notes

SQUARE = [10.0, 10, 40, 10, 40, 30, 10, 30]
BAD = {
    'it has fewer than 3 points': ([5.0, 5, 20, 20], [], [1.0, 2, 3, 4, 5, 6, 7]),
    'a coordinate is not a finite number': ([float('nan'), 1, 2, 3, 4, 5], [np.inf] * 8),
}


@pytest.fixture
def log(monkeypatch):
    lines = []
    monkeypatch.setattr(module, 'print_log', lambda line, *_: lines.append(line))
    return lines


def results(*polygons):
    count = len(polygons)
    return dict(
        img_path='page.jpg',
        gt_polygons=[np.array(p, np.float32) for p in polygons],
        gt_bboxes=np.arange(4 * count).reshape(count, 4),
        gt_texts=list('abcdef'[:count]),
        gt_bboxes_labels=np.arange(count),
        gt_ignored=np.arange(count) % 2 == 1,
    )


@pytest.mark.parametrize('reason, polygon', [(r, p) for r, many in BAD.items() for p in many])
def test_a_bad_label_goes_with_all_that_belongs_to_it(log, reason, polygon):
    with collect_notes() as notes:
        out = TRANSFORMS.build(dict(type='mmocr_da.CheckPolygons'))(
            results(SQUARE, polygon, SQUARE)
        )
    assert [p.tolist() for p in out['gt_polygons']] == [SQUARE, SQUARE]
    assert out['gt_bboxes'].tolist() == [[0, 1, 2, 3], [8, 9, 10, 11]]
    assert out['gt_texts'] == ['a', 'c'] and out['gt_bboxes_labels'].tolist() == [0, 2]
    assert out['gt_ignored'].tolist() == [False, False]
    assert len(log) == 1 and f'a label of page.jpg, because {reason}' in log[0]
    ((kind, what),) = notes
    assert kind == f'labels are left out: {reason}' and what.startswith('page.jpg [')


def test_good_labels_and_images_without_labels_are_as_they_were(log):
    transform = TRANSFORMS.build(dict(type='mmocr_da.CheckPolygons'))
    out, expected = transform(results(SQUARE, SQUARE[:6])), results(SQUARE, SQUARE[:6])
    assert all(np.array_equal(x, y) for x, y in zip(out['gt_polygons'], expected['gt_polygons']))
    assert transform(dict(img_path='a.jpg')) == dict(img_path='a.jpg')
    assert not log


def test_all_labels_of_an_image_may_be_bad(log):
    out = TRANSFORMS.build(dict(type='mmocr_da.CheckPolygons'))(results([1.0, 2], [3.0, 4]))
    assert out['gt_polygons'] == [] and out['gt_bboxes'].shape == (0, 4) and out['gt_texts'] == []
    assert len(log) == 1


@pytest.mark.parametrize('checked', [True, False])
def test_resize_stops_at_such_a_label_unless_it_is_checked(tmp_path, log, checked):
    cv2.imwrite(str(tmp_path / 'page.png'), np.eye(60, dtype=np.uint8) * 255)
    instances = [
        dict(polygon=polygon, bbox=[0, 0, 1, 1], bbox_label=0, ignore=False)
        for polygon in (SQUARE, [5, 5, 20, 20])
    ]
    (tmp_path / 'a.json').write_text(
        json.dumps(
            dict(metainfo=dict(), data_list=[dict(img_path='page.png', instances=instances)])
        )
    )
    pipeline = [
        dict(type='mmocr.LoadImageFromFile'),
        dict(type='mmocr.LoadOCRAnnotations', with_polygon=True, with_bbox=True, with_label=True),
        dict(type='mmocr_da.CheckPolygons'),
        dict(type='mmocr.Resize', scale=(30, 30)),
        dict(type='mmocr_da.PolygonsToRotatedBoxes'),
        dict(type='mmdet.PackDetInputs', meta_keys=('img_path',)),
    ]
    dataset = DATASETS.build(
        dict(
            type='mmocr_da.SeededDataset',
            pipeline=[
                step for step in pipeline if checked or step['type'] != 'mmocr_da.CheckPolygons'
            ],
            datasets=dict(
                type='mmocr.OCRDataset',
                data_root=str(tmp_path),
                ann_file='a.json',
                serialize_data=False,
            ),
        )
    )
    if not checked:
        with pytest.raises(AssertionError) as caught:
            dataset[0]
        assert 'page.png' in caught.value.__notes__[0]
        return
    sample = dataset[0]['data_samples']
    assert len(sample.gt_instances) == 1
    assert [kind for kind, _ in sample.notes] == ['labels are left out: it has fewer than 3 points']
