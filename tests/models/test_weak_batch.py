"""The weak views of a batch."""

import numpy as np
import torch
from mmocr.structures import TextRecogDataSample

from mmocr_da.models.weak_batch import weak_batch, without_label


def view(seed, **metainfo):
    image = np.random.default_rng(seed).integers(0, 255, (1, 4, 6)).astype(np.uint8)
    out = TextRecogDataSample(metainfo=dict(img_path=f'{seed}.png', **metainfo))
    out.set_data(dict(image=image))
    return out


def test_the_views_are_a_batch_and_stay_as_they_are(sample):
    samples = [sample(), sample()]
    for i, one in enumerate(samples):
        one.set_data(dict(weak_view=view(i, valid_ratio=0.5)))
    for _ in range(2):
        data = weak_batch(samples)
        for i, (image, weak) in enumerate(zip(data['inputs'], data['data_samples'])):
            assert torch.equal(image, torch.from_numpy(samples[i].weak_view.image))
            assert weak.img_path == f'{i}.png' and weak.valid_ratio == 0.5
            weak.set_metainfo(dict(valid_ratio=1.0))  # as a preprocessor does


def test_without_a_view_of_each_image_there_is_no_batch(sample):
    samples = [sample(), sample()]
    assert weak_batch(samples) is None
    samples[0].set_data(dict(weak_view=view(0)))
    assert weak_batch(samples) is None


def test_a_label_is_left_out(sample):
    labelled = sample('12')
    labelled.set_metainfo(dict(have_target=True))
    free = without_label(labelled)
    assert free.metainfo == {k: v for k, v in labelled.metainfo.items() if k != 'have_target'}
    assert 'gt_text' not in free and labelled.gt_text.item == '12'
