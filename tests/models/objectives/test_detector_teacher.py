"""Laws of what the self-trainings of detectors share: views, patience."""

import pytest
import torch
from helpers.detectors import adaptive, scenes
from mmocr.structures import TextRecogDataSample

from mmocr_da.models.objectives import DetectionFeatures
from mmocr_da.registry import MODELS

ST = dict(type='mmocr_da.DetectorSelfTraining', threshold=0.5)


def test_geometry_that_is_not_recorded_is_an_error():
    model = adaptive('DBNet', dict(ST)).eval()
    data = scenes('DBNet', ['target'])
    (strong,) = data['data_samples']
    view = TextRecogDataSample(metainfo=dict(img_shape=(64, 64), unrecorded=('RandomRotate',)))
    view.set_data(dict(image=data['inputs'][0].numpy()))
    strong.set_data(dict(weak_view=view))
    with pytest.raises(
        ValueError, match='RandomRotate in WeakStrongViews may move pixels and does'
    ):
        model.objectives.self_training.predict_regions(
            DetectionFeatures({}, torch.zeros(1, 3, 64, 64), [strong])
        )


def test_a_training_that_learns_nothing_is_named(monkeypatch):
    module = 'mmocr_da.models.objectives.detector_teacher'
    texts = []
    monkeypatch.setattr(f'{module}.PATIENCE', 2)
    monkeypatch.setattr(f'{module}.print_log', lambda text, **_: texts.append(text))
    objective = MODELS.build(ST).train()
    for learned in (False, True, False, False):
        assert texts == []
        objective._watch(1, learned, 'region')
    assert 'no region became a label in the last 2 batches. none had a confidence' in texts[0]
