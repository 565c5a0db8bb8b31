import cv2
import numpy as np
import pytest
from helpers.recognizers import WORDS
from mmengine.config import Config
from mmocr.registry import DATASETS

from mmocr_da.adaptation import Request
from mmocr_da.adaptation.compose import compose
from mmocr_da.adaptation.recognizers import read_recognizer
from mmocr_da.adaptation.views import draw_views, source_columns, target_columns


@pytest.fixture
def dataset(tiny, tmp_path):
    root = tiny()
    request = Request(str(root / 'tiny.py'), 'a.pth', (str(root / 'target'),))
    (tmp_path / 'a.py').write_text(compose(request, read_recognizer(request.config), 4).text)
    return DATASETS.build(Config.fromfile(tmp_path / 'a.py').train_dataloader.dataset)


def test_the_teacher_sees_the_prepared_image_and_the_student_another(dataset, tiny):
    teacher, first, second = (column.cells for column in target_columns(dataset, len(WORDS)))
    files = (tiny() / 'target').rglob('*.png')
    images = [cv2.resize(cv2.imread(str(file)), (32, 16))[..., ::-1] for file in files]
    for cell, one, other in zip(teacher, first, second):
        assert any(np.abs(cell.astype(int) - image).max() <= 1 for image in images)
        assert cell.shape == one.shape == (16, 32, 3)
    assert not np.array_equal(first, second) and not np.array_equal(teacher, first)


def test_each_source_image_has_its_label_and_its_own_augmentation(dataset):
    labels, first, second = (column.cells for column in source_columns(dataset, len(WORDS)))
    assert sorted(labels) == sorted(WORDS)
    assert not any(np.array_equal(a, b) for a, b in zip(first, second))


def test_a_seed_decides_what_is_drawn(dataset):
    def cells(seed):
        return [cell for column in target_columns(dataset, 4, seed) for cell in column.cells]

    assert all(map(np.array_equal, cells(1), cells(1)))
    assert not all(map(np.array_equal, cells(1), cells(2)))


def test_the_sheet_is_a_picture(dataset, tmp_path):
    draw_views(dataset, tmp_path / 'views.png', 'a test', num=3)
    assert cv2.imread(str(tmp_path / 'views.png')) is not None
