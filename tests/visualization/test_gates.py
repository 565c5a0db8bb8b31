import cv2
import pytest
import torch
from torch import nn

from mmocr_da.models.layers.batch_instance_norm import BatchInstanceNorm1d, BatchInstanceNorm2d
from mmocr_da.visualization import gates_figure
from mmocr_da.visualization.gates import by_depth, by_stage, gates_of, plot_gates, shares


class Stage(nn.Sequential):
    def __init__(self, *widths):
        super().__init__()
        for i, width in enumerate(widths):
            self.add_module(f'bn{i}', BatchInstanceNorm2d(width))


@pytest.fixture
def model():
    model = nn.Module()
    # Not in alphabetical order: the order is that of the modules.
    model.stem = Stage(4)
    model.backbone = nn.Module()
    model.backbone.layer2 = Stage(8, 8)
    model.backbone.layer1 = Stage(2, 2)
    model.rho = nn.Parameter(torch.ones(3))
    model.linear = nn.Linear(4, 4)
    model.linear.rho = nn.Parameter(torch.ones(4))  # weight (4, 4): no norm
    model.norm = nn.BatchNorm2d(4)
    model.head = BatchInstanceNorm1d(5, affine=False)
    return model


def test_gates_are_those_of_the_modules_in_their_order(model):
    expected = {
        name: module.rho
        for name, module in model.named_modules()
        if isinstance(module, (BatchInstanceNorm1d, BatchInstanceNorm2d))
    }
    found = gates_of(model.state_dict())
    assert (
        list(found)
        == list(expected)
        == [
            'stem.bn0',
            'backbone.layer2.bn0',
            'backbone.layer2.bn1',
            'backbone.layer1.bn0',
            'backbone.layer1.bn1',
            'head',
        ]
    )
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not any(rho.requires_grad for rho in found.values())


def test_a_lone_layer_has_gates_too():
    assert torch.equal(gates_of(BatchInstanceNorm2d(3).state_dict())[''], torch.ones(3))


def numbered(*widths):
    """Layers whose gates all equal the number of the layer."""
    return {f'layer{i}': torch.full((width,), float(i)) for i, width in enumerate(widths)}


@pytest.mark.parametrize(
    'widths, parts',
    [
        ((4,), dict(all=[0])),
        ((9, 4), dict(lower=[0], upper=[1])),
        ((1, 1, 100), dict(lower=[0], middle=[1], upper=[2])),
        ((100, 1, 1), dict(lower=[0], middle=[1], upper=[2])),
        ((2, 2, 2, 2, 2, 2), dict(lower=[0, 1], middle=[2, 3], upper=[4, 5])),
        # ends 16, 32, 64, 96, 160, 224; a third is 75, two thirds are 149
        ((16, 16, 32, 32, 64, 64), dict(lower=[0, 1, 2], middle=[3, 4], upper=[5])),
    ],
)
def test_depths_are_consecutive_and_about_equal(widths, parts):
    found = by_depth(numbered(*widths))
    assert {name: rho.unique().tolist() for name, rho in found.items()} == parts
    assert torch.equal(torch.cat([*found.values()]), torch.cat([*numbered(*widths).values()]))


@pytest.mark.parametrize('seed', range(20))
def test_no_other_cut_into_thirds_is_nearer(seed):
    """The first cut is nearest to a third of the gates, among those that leave three parts."""
    widths = torch.randint(1, 50, (8,), generator=torch.Generator().manual_seed(seed)).tolist()
    lower = len(by_depth(numbered(*widths))['lower'])
    ends = [sum(widths[:i]) for i in range(1, len(widths) - 1)]
    assert abs(lower - sum(widths) / 3) == min(abs(end - sum(widths) / 3) for end in ends)


def test_stages_are_the_first_two_parts_of_the_name(model):
    sizes = {name: len(rho) for name, rho in by_stage(gates_of(model.state_dict())).items()}
    assert sizes == {'stem.bn0': 4, 'backbone.layer2': 16, 'backbone.layer1': 4, 'head': 5}


def test_shares_exclude_their_bounds():
    below, above = shares(torch.tensor([0, 0.0999, 0.1, 0.5, 0.9, 0.9001, 1, 1]).double())
    assert (below, above) == (2 / 8, 3 / 8)


def test_the_picture_and_its_numbers(model, tmp_path):
    nn.init.zeros_(model.stem.bn0.rho)
    nn.init.constant_(model.head.rho, 0.5)
    gates = gates_of(model.state_dict())
    drawn = plot_gates(gates, str(tmp_path / 'depth.png'))
    # 29 gates; the layers end at 4, 12, 20, 22, 24, 29: cuts at 12 and 20.
    assert drawn == {
        'lower': (12, pytest.approx(4 / 12), pytest.approx(8 / 12)),
        'middle': (8, 0, 1),
        'upper': (9, 0, pytest.approx(4 / 9)),
    }
    drawn = plot_gates(gates, str(tmp_path / 'stage.png'), stages=True)
    assert drawn['stem.bn0'] == (4, 1, 0) and len(drawn) == 4
    for name in ('depth', 'stage'):
        image = cv2.imread(str(tmp_path / f'{name}.png'))
        assert image is not None and image.std() > 1


def test_a_place_without_a_histogram_stays_empty(tmp_path):
    gates = {f'backbone.layer{i}': torch.rand(9) for i in range(5)}
    plot_gates(gates, str(tmp_path / 'stages.png'), stages=True)
    image = cv2.imread(str(tmp_path / 'stages.png'))
    height, width = image.shape[:2]
    upper, lower = image[: height // 2, width // 2 :], image[height * 5 // 8 :, width * 5 // 8 :]
    assert upper.min() < 128 and lower.min() == 255


def test_without_gates_there_is_no_picture(tmp_path):
    with pytest.raises(ValueError, match='gates must come from a model with BatchInstanceNorm'):
        plot_gates(gates_of(nn.BatchNorm2d(3).state_dict()), str(tmp_path / 'gates.png'))
    assert not list(tmp_path.iterdir())


def test_a_figure_has_a_histogram_per_part(model):
    figure = gates_figure(gates_of(model.state_dict()), stages=True)
    drawn = [ax for ax in figure.axes if ax.patches]
    assert [ax.get_title().split(':')[0] for ax in drawn] == list(
        by_stage(gates_of(model.state_dict()))
    )
    for ax in drawn:
        assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(1)
