import copy

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmocr.structures import TextRecogDataSample

from mmocr_da.registry import MODELS

CFG = dict(mean=[127.5], std=[127.5])


def batch(num_views, widths=(5, 8, 3)):
    return pseudo_collate(
        [
            dict(
                inputs=[
                    torch.full((1, 4, w), 10 * i + v, dtype=torch.uint8) for v in range(num_views)
                ],
                data_samples=[
                    TextRecogDataSample(
                        metainfo=dict(img_shape=(4, w), valid_ratio=1.0, image=i, view=v)
                    )
                    for v in range(num_views)
                ],
            )
            for i, w in enumerate(widths)
        ]
    )


def build(kind):
    return MODELS.build(dict(type=f'mmocr_da.{kind}TextRecogDataPreprocessor', **CFG))


@pytest.mark.parametrize('num_views', [2, 3])
@pytest.mark.parametrize('training', [True, False])
def test_views_come_one_after_the_other_as_the_host_prepares_them(num_views, training):
    data = batch(num_views)
    out = build('MultiView')(copy.deepcopy(data), training)
    order = [(v, i) for v in range(num_views) for i in range(3)]
    assert [(s.view, s.image) for s in out['data_samples']] == order
    joined = {key: [x for view in value for x in view] for key, value in data.items()}
    torch.testing.assert_close(out['inputs'], build('Batched')(joined, training)['inputs'])
    for row, (v, i) in zip(out['inputs'], order):
        assert row[0, 0, 0] == pytest.approx((10 * i + v - 127.5) / 127.5)
    # What joined images of several widths is padding.
    assert [s.valid_ratio for s in out['data_samples'][:3]] == [5 / 8, 1, 3 / 8]


def test_the_batch_of_the_loader_is_not_changed():
    data = batch(2)
    build('MultiView')(data, True)
    assert len(data['inputs']) == 2 and len(data['inputs'][0]) == 3


def test_one_image_each_is_for_testing_only():
    data = {key: value[0] for key, value in batch(2).items()}
    preprocessor = build('MultiView')
    with pytest.raises(ValueError, match="type='mmocr_da.MultiView'"):
        preprocessor(copy.deepcopy(data), True)
    assert preprocessor(data, False)['inputs'].shape == (3, 1, 4, 8)
