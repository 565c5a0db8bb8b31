import pytest
import torch

from mmocr_da.registry import MODELS


def both(**cfg):
    return [
        MODELS.build(dict(type=t, **cfg))
        for t in ('TextRecogDataPreprocessor', 'mmocr_da.BatchedTextRecogDataPreprocessor')
    ]


def images(sizes, channels):
    return [torch.randint(0, 256, (channels, h, w), dtype=torch.uint8) for h, w in sizes]


@pytest.mark.parametrize('sizes', [[(16, 32)] * 3, [(16, 20), (16, 32), (12, 9)]])
@pytest.mark.parametrize(
    'channels, cfg',
    [
        (1, dict(mean=[127.5], std=[127.5])),
        (3, dict(mean=[100, 110, 120], std=[50, 60, 70], bgr_to_rgb=True)),
        (3, dict(mean=[100, 110, 120], std=[50, 60, 70], pad_size_divisor=32, pad_value=0.5)),
        (3, dict()),
    ],
)
def test_same_numbers_bit_for_bit_as_image_by_image(sizes, channels, cfg, sample):
    slow, fast = both(**cfg)
    inputs = images(sizes, channels)
    outputs = []
    for preprocessor in (slow, fast):
        samples = [sample() for _ in sizes]
        for s, (_, w) in zip(samples, sizes):
            s.set_metainfo(dict(img_shape=(16, w)))
        outputs.append(preprocessor(dict(inputs=list(inputs), data_samples=samples), True))
    a, b = outputs
    assert torch.equal(a['inputs'], b['inputs'])
    assert [s.valid_ratio for s in a['data_samples']] == [s.valid_ratio for s in b['data_samples']]


def test_normalisation_runs_once_per_batch(sample, monkeypatch):
    _, fast = both(mean=[127.5], std=[127.5])
    calls = []
    convert = torch.Tensor.float
    monkeypatch.setattr(torch.Tensor, 'float', lambda x: calls.append(1) or convert(x))
    fast(dict(inputs=images([(16, 32)] * 8, 1), data_samples=[sample() for _ in range(8)]))
    assert len(calls) == 1


def test_a_ready_batch_passes_through(sample):
    slow, fast = both(mean=[127.5], std=[127.5])
    batch = torch.randint(0, 256, (2, 1, 16, 32), dtype=torch.uint8)
    out = [p(dict(inputs=batch, data_samples=[sample(), sample()])) for p in (slow, fast)]
    assert torch.equal(out[0]['inputs'], out[1]['inputs'])
