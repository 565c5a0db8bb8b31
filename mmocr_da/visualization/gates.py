"""Histograms of the gates of batch-instance norm (Nam & Kim, NeurIPS 2018, fig. 2 and 4)."""

from collections.abc import Mapping
from itertools import accumulate

import torch
from matplotlib.figure import Figure
from torch import Tensor

from .colors import COLORS
from .pictures import save_picture

#: Names of up to three groups of layers, in the order of the model's parts.
DEPTHS = {1: ('all',), 2: ('lower', 'upper'), 3: ('lower', 'middle', 'upper')}


def gates_of(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the gates of each batch-instance norm by the layer's name, in the model's order.

    A ``rho`` is a gate if its layer has a weight or running statistics of the same shape; this
    excludes other parameters of this name.

    >>> norm = dict(weight=torch.ones(2), rho=torch.tensor([0., 1.]))
    >>> gates_of({f'backbone.bn.{key}': value for key, value in norm.items()})
    {'backbone.bn': tensor([0., 1.])}
    """
    gates = {}
    for key, value in state_dict.items():
        layer, _, name = key.rpartition('.')
        prefix = f'{layer}.' if layer else ''
        if name == 'rho' and any(
            getattr(state_dict.get(f'{prefix}{other}'), 'shape', None) == value.shape
            for other in ('weight', 'running_mean')
        ):
            gates[layer] = value.detach()
    return gates


def shares(rho: Tensor) -> tuple[Tensor, Tensor]:
    """Return the shares of gates below 0.1 (style removed) and above 0.9 (style kept).

    >>> shares(torch.tensor([0., 0.05, 0.1, 0.9, 1.]))
    (tensor(0.4000), tensor(0.2000))
    """
    rho = rho.float()
    return (rho < 0.1).float().mean(), (rho > 0.9).float().mean()


def by_depth(gates: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join consecutive layers into a lower, a middle and an upper part.

    The parts have about equal numbers of gates.

    >>> layers = {f'layer{i}': torch.full((n, ), i) for i, n in enumerate((1, 1, 2, 2))}
    >>> by_depth(layers)
    {'lower': tensor([0, 1]), 'middle': tensor([2, 2]), 'upper': tensor([3, 3])}
    """
    layers = list(gates.values())
    ends = list(accumulate(map(len, layers)))
    names = DEPTHS[min(3, len(layers))]
    cuts = [0]
    for part in range(1, len(names)):
        # Leave at least one layer for this part and for each later one.
        choices = range(cuts[-1] + 1, len(layers) - len(names) + part + 1)
        ideal = ends[-1] * part / len(names)
        cuts.append(min(choices, key=lambda cut: abs(ends[cut - 1] - ideal)))
    return {
        name: torch.cat(layers[start:end])
        for name, start, end in zip(names, cuts, [*cuts[1:], len(layers)])
    }


def by_stage(gates: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join layers with names that begin with the same two parts, such as ``backbone.layer1``.

    >>> list(by_stage({f'backbone.{name}.bn1': torch.ones(2)
    ...                for name in ('layer1.0', 'layer1.1', 'layer2.0')}))
    ['backbone.layer1', 'backbone.layer2']
    """
    stages: dict[str, list[Tensor]] = {}
    for name, rho in gates.items():
        stages.setdefault('.'.join(name.split('.')[:2]), []).append(rho)
    return {stage: torch.cat(rhos) for stage, rhos in stages.items()}


def gates_figure(gates: Mapping[str, Tensor], stages: bool = False) -> Figure:
    """Draw one histogram of ``rho`` per depth, or per stage of the model.

    Args:
        gates: ``rho`` by the layer's name, see :func:`gates_of`.
        stages: One histogram per stage instead of per depth.

    Raises:
        ValueError: If there is no gate.
    """
    if not gates:
        raise ValueError(
            'gates must come from a model with BatchInstanceNorm, got none; its state dict '
            'has keys that end in .rho'
        )
    parts = by_stage(gates) if stages else by_depth(gates)
    columns = min(len(parts), 4)
    rows = -(-len(parts) // columns)
    # Without pyplot, which would choose a backend for the whole process.
    figure = Figure(figsize=(3.2 * columns, 2.8 * rows), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for ax, (name, rho) in zip(axes, parts.items()):
        below, above = (share.item() for share in shares(rho))
        ax.hist(
            rho.float().cpu().numpy(),
            bins=20,
            range=(0, 1),
            weights=[1 / len(rho)] * len(rho),
            color=COLORS[0],
        )
        ax.set_title(f'{name}: {len(rho)} gates\n{below:.0%} < 0.1, {above:.0%} > 0.9', fontsize=9)
        ax.set_ylim(0, 1)
        ax.grid(alpha=0.3)
    for ax in axes[len(parts) :]:
        ax.axis('off')
    figure.supxlabel('rho (0: instance norm, 1: batch norm)', fontsize=9)
    figure.supylabel('share of gates', fontsize=9)
    return figure


def plot_gates(
    gates: Mapping[str, Tensor], out_file: str, stages: bool = False, font: str | None = None
) -> dict[str, tuple[int, float, float]]:
    """Write the picture of :func:`gates_figure`.

    Args:
        gates, stages: See :func:`gates_figure`.
        out_file: PNG, or another format that matplotlib writes.
        font: For the texts, see :func:`~mmocr_da.visualization.pictures.save_picture`.

    Returns:
        For each histogram, the number of gates and their shares below 0.1 and above 0.9.

    Raises:
        ValueError: If there is no gate.
    """
    save_picture(gates_figure(gates, stages), out_file, 'plot_gates', font)
    drawn = {}
    for name, rho in (by_stage(gates) if stages else by_depth(gates)).items():
        below, above = shares(rho)
        drawn[name] = (len(rho), below.item(), above.item())
    return drawn
