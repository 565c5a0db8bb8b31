"""LS-IoU: the six numbers, the metric, learning it."""

import json
import math

import numpy as np
import pytest
import torch

from mmocr_da.models.surrogates import RotatedIoUSurrogate
from mmocr_da.structures import rotated_iou

LABELS = torch.tensor([[100.0, 50, 60, 20, 0.4], [30, 200, 40, 40, -1.2], [300, 300, 90, 10, 1.5]])
BOXES = LABELS + torch.tensor([[8.0, 2, 5, 3, 0.1], [0, 0, 0, 0, 0], [30, 9, -20, 2, -0.2]])


@pytest.fixture
def pairs(tmp_path):
    instances = [
        dict(polygon=[x, 9, x + w, 9, x + w, 9 + h, x, 9 + h], ignore=False)
        for x, w, h in ((0.0, 80, 20), (90.0, 30, 12), (200.0, 40, 30))
    ]
    (tmp_path / 'labels.json').write_text(
        json.dumps(dict(data_list=[dict(img_path='a.jpg', instances=instances)]))
    )
    return dict(
        ann_files=str(tmp_path / 'labels.json'), num_pairs=20000, cache_dir=str(tmp_path / 'cache')
    )


@pytest.fixture
def make(pairs, progress):
    torch.manual_seed(0)
    progress(0, 100)

    def build(**kwargs):
        return RotatedIoUSurrogate(pairs, **kwargs)

    return build


# --------------------------------------------------------------------------- six numbers


@pytest.mark.parametrize('image_size', [None, (640, 480)])
def test_decoding_gives_the_iou_of_the_boxes(make, image_size):
    s = make(image_size=image_size)
    z, y = s.encode(BOXES, LABELS), s.encode(LABELS, LABELS)
    assert z.shape == (3, 6)
    torch.testing.assert_close(s.metric(z, y), 1 - rotated_iou(BOXES, LABELS), atol=1e-3, rtol=0)
    assert s.metric(y, y).max() < 1e-5


def test_six_numbers_by_hand(make):
    box, label = torch.tensor([[12.0, 5, 8, 4, 0]]), torch.tensor([[10.0, 5, 8, 2, math.pi / 4]])
    x = make().encode(box, label)
    assert x[0].tolist() == pytest.approx([0.5, 0, 2, 1, 1, 0])
    x = make(image_size=(20, 10)).encode(label, label)
    assert x[0].tolist() == pytest.approx([0.5, 0.5, 0.4, 0.2, 0, 1], abs=1e-6)


def test_a_box_rotated_by_pi_is_the_same_box(make):
    s = make()
    rotated = BOXES + torch.tensor([0, 0, 0, 0, math.pi])
    torch.testing.assert_close(
        s.encode(rotated, LABELS), s.encode(BOXES, LABELS), atol=1e-5, rtol=0
    )


def test_place_and_size_of_the_text_do_not_matter(make):
    s = make()

    def moved(b):
        return torch.cat([b[:, :2] * 3 + 50, b[:, 2:4] * 3, b[:, 4:]], 1)

    torch.testing.assert_close(
        s.encode(moved(BOXES), moved(LABELS)), s.encode(BOXES, LABELS), atol=1e-5, rtol=1e-5
    )


def test_the_embedding_is_of_the_paper(make):
    layers = [m for m in make().embedding if isinstance(m, torch.nn.Linear)]
    assert len(layers) == 5 and layers[0].in_features == 6 and layers[-1].out_features == 16


# --------------------------------------------------------------------------- learning


@pytest.mark.parametrize('image_size', [None, (640, 480)])
def test_generated_pairs_have_their_metric(make, image_size):
    s = make(image_size=image_size, num_generated=300)
    z, y, e = s.generate(torch.zeros(0, 6), np.random.default_rng(0))
    assert z.shape == y.shape == (300, 6) and e.shape == (300,)
    torch.testing.assert_close(s.metric(z, y), e, atol=5e-3, rtol=0)


def test_pretraining_learns_the_iou(make):
    """Far better than to say the mean, whose error is 0.25 on a uniform IoU."""
    s = make(pretrain_steps=300, num_generated=512, hidden_channels=(64,) * 4, pretrain_lr=3e-3)
    s.init_weights()
    torch.manual_seed(1)
    z, y, e = s.generate(torch.zeros(0, 6), np.random.default_rng(99))
    assert (s.distance(z, y) - e).abs().mean() < 0.08


def test_pretraining_is_a_function_of_the_seed(make):
    weights = []
    for _ in range(2):
        torch.manual_seed(5)
        s = make(pretrain_steps=3)
        s.init_weights()
        weights.append(s.embedding[0].weight.detach().clone())
        # Nothing is left that the first step of the training would add to.
        assert all(p.grad is None for p in s.parameters())
    assert torch.equal(*weights)


def test_a_checkpoint_is_taken_instead_of_pretraining(make, tmp_path):
    first = make()
    torch.save(
        dict(state_dict=first.state_dict(), meta=dict(surrogate=first.spec)), tmp_path / 's.pth'
    )
    s = make(pretrain_steps=3, checkpoint=str(tmp_path / 's.pth'))
    s.init_weights()
    assert torch.equal(s.embedding[0].weight, first.embedding[0].weight)
    other = make(checkpoint=str(tmp_path / 's.pth'), image_size=(640, 480))
    with pytest.raises(ValueError, match='image_size=None instead of'):
        other.init_weights()


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(pairs=None), 'needs pairs=dict'),
        (dict(approximation='local', pretrain_steps=5), 'pretrain_steps needs a generator'),
        (dict(num_generated=0), 'num_generated must be'),
        (dict(gradient_weight='abc'), "gradient_weight must be a number of at least 0, got 'abc'"),
        (dict(pretrain_lr=float('nan')), 'pretrain_lr must be a number above 0, got nan'),
        (dict(hidden_channels=(8, 8)), 'hidden_channels must be 4 widths'),
    ],
)
def test_bad_options_are_named(pairs, kwargs, message):
    with pytest.raises(ValueError, match=message):
        RotatedIoUSurrogate(**{'pairs': pairs, **kwargs})


def test_options_without_an_effect_are_named(pairs, monkeypatch):
    said = []
    monkeypatch.setattr('mmocr_da.arguments.print_log', lambda text, **_: said.append(text))
    RotatedIoUSurrogate(pairs)
    RotatedIoUSurrogate(approximation='local')
    assert said == []
    RotatedIoUSurrogate(pairs, approximation='local')
    RotatedIoUSurrogate(pairs, pretrain_steps=5, checkpoint='surrogate.pth')
    assert [text.split('=')[0] for text in said] == ['pairs', 'pretrain_steps']
