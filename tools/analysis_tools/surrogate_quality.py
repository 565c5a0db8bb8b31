"""Report how well a learned surrogate approximates its metric on unseen images.

    python tools/analysis_tools/surrogate_quality.py CONFIG CHECKPOINT --out quality.png

It writes a picture, ``--out``, and prints errors and rank correlations. The picture shows the
estimates against the values of the metric, for the model's predictions on the images of the
config's ``val_dataloader`` and for the same number of generated pairs.

For a recognizer with ``LSEDLoss`` the metric is the edit distance; the tool also prints the
gradient magnitude of the estimates at the recognizer's logits, for right and for wrong predictions.
For a detector with ``LSIoULoss`` the metric is the overlap of each box with the label that it
overlaps most. ``--surrogate`` evaluates another surrogate on the same predictions.
"""

import argparse

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.runner import Runner, load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.utils import ProgressBar
from mmocr.registry import MODELS
from mmocr.utils import register_all_modules

from mmocr_da.datasets.image_loading import load_as_shown
from mmocr_da.engine.checkpoints import check_checkpoint, check_finite, weights_of
from mmocr_da.engine.launch import load_config
from mmocr_da.engine.model_parts import find_surrogate
from mmocr_da.models.decoders import GreedyPrediction, adapter_of
from mmocr_da.models.surrogates import EditDistanceSurrogate, RotatedIoUSurrogate
from mmocr_da.models.surrogates.quality import error_by_value
from mmocr_da.structures import polygons_to_rotated, rotated_overlaps
from mmocr_da.visualization import (
    add_picture_arguments,
    check_picture,
    plot_quality,
    report_picture,
)


@torch.no_grad()
def compare(
    model: torch.nn.Module, surrogate: EditDistanceSurrogate, loader, split: str, seed: int = 0
) -> tuple[dict, list[float]]:
    """Compare estimates and edit distances of predictions and of generated pairs.

    Returns:
        ``(estimates, values)`` by kind of pairs, and for each prediction the gradient magnitude of
        its estimate at the recognizer's logits.
    """
    lengths = []
    kinds = {f'{split} predictions': ([], []), 'generated pairs': ([], [])}
    rng = np.random.default_rng(seed)
    bar = ProgressBar(len(loader))
    for data in loader:
        data = model.data_preprocessor(data, False)
        samples = model.decoder.module_loss.get_targets(data['data_samples'])
        feature_map = model.extract_feat(data['inputs'])
        sequence = model.encoder(feature_map, samples) if model.with_encoder else None
        logits = adapter_of(model.decoder).predict(feature_map, sequence, samples)
        logits.requires_grad_()
        with torch.enable_grad():
            prediction = GreedyPrediction(logits, [s.gt_text.indexes for s in samples])
            z = surrogate.encode_prediction(prediction.probabilities)
            y = surrogate.encode(prediction.labels).to(z)
            (gradient,) = torch.autograd.grad(surrogate.frozen_distance(z, y).sum(), logits)
        lengths.extend(gradient.flatten(1).norm(dim=1).tolist())
        for pairs, sample in zip(
            kinds.values(), ((z, y, surrogate.metric(z, y)), surrogate.generate(y, rng))
        ):
            z, y, e = sample
            pairs[0].extend(surrogate.distance(z, y).tolist())
            pairs[1].extend(e.tolist())
        bar.update()
    print()
    return kinds, lengths


@torch.no_grad()
def compare_boxes(
    model: torch.nn.Module, surrogate: RotatedIoUSurrogate, loader, split: str, seed: int = 0
) -> dict:
    """Compare estimates and values of predicted boxes and of the same number of generated pairs.

    Returns:
        ``(estimates, values)`` by kind of pairs.

    Raises:
        ValueError: If no predicted box overlaps with a label.
    """
    found, labels = [], []
    bar = ProgressBar(len(loader))
    for data in loader:
        for sample in model(**model.data_preprocessor(data, False), mode='predict'):
            label = polygons_to_rotated(sample.gt_instances.polygons)
            box = polygons_to_rotated(sample.pred_instances.polygons)
            if len(label) and len(box):
                overlap, nearest = rotated_overlaps(box, label).max(1)
                found.append(box[overlap > 0])
                labels.append(label[nearest[overlap > 0]])
        bar.update()
    print()
    if not sum(map(len, found)):
        raise ValueError(
            f'at least one predicted box in the {split} images must overlap with a label, got '
            'none; train the detector first'
        )
    device = next(surrogate.parameters()).device
    pairs = {f'boxes in {split} images': (torch.cat(found), torch.cat(labels))}
    if surrogate.approximation != 'local':
        count = len(pairs[f'boxes in {split} images'][0])
        pairs['generated pairs'] = surrogate.pairs.draw(count, np.random.default_rng(seed))[:2]
    kinds = {}
    for name, (box, label) in pairs.items():
        z, y = (surrogate.encode(b.to(device), label.to(device)) for b in (box, label))
        kinds[name] = surrogate.distance(z, y).tolist(), surrogate.metric(z, y).tolist()
    return kinds


def load_model(cfg: Config, checkpoint: str) -> torch.nn.Module:
    """Build a model with a learned surrogate and load its checkpoint, for evaluation."""
    register_all_modules(init_default_scope=True)
    model = MODELS.build(cfg.model)
    find_surrogate(model)
    weights = weights_of(CheckpointLoader.load_checkpoint(checkpoint, 'cpu'))
    check_finite(weights, model, checkpoint)
    load_checkpoint(model, checkpoint, map_location='cpu')
    return model.to(get_device()).eval()


def report(kinds: dict, drawn: dict, unit: str, step: float = 0) -> None:
    """Print the numbers of the picture."""
    for name, quality in drawn.items():
        correlation = quality['rank_correlation']
        correlation = 'undefined' if correlation is None else f'{correlation:.3f}'
        print(
            f'{quality["num"]} {name}: mean error {quality["error"]:.3f} {unit}, rank '
            f'correlation {correlation}'
        )
        estimates, values = kinds[name]
        errors = error_by_value(estimates, values, step)
        print(
            '  at a distance of '
            + ', '.join(f'{value:g}: {error:.2f}' for value, error in errors.items())
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='Config of a model with LSEDLoss or LSIoULoss')
    parser.add_argument('checkpoint', help='Its checkpoint')
    parser.add_argument(
        '--surrogate',
        metavar='FILE',
        help='surrogate_*.pth to judge, instead of the one in the checkpoint',
    )
    parser.add_argument(
        '--split',
        choices=['val', 'test'],
        default='val',
        help='Which dataloader of the config the images come from',
    )
    add_picture_arguments(parser, 'surrogate_quality.png')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='Override settings of the config: key=value pairs',
    )
    args = parser.parse_args()
    check_picture(
        args.out,
        'plot_quality',
        [args.config, args.checkpoint, args.surrogate],
        args.font,
        args.tensorboard,
    )
    check_checkpoint(args.checkpoint, 'checkpoint')
    cfg = load_config(args.config, cfg_options=args.cfg_options)
    if cfg.get(f'{args.split}_dataloader') is None:
        parser.error(f'the config has no {args.split}_dataloader')
    model = load_model(cfg, args.checkpoint)
    _, surrogate = find_surrogate(model)
    if args.surrogate:
        surrogate.load(args.surrogate)
    loader = Runner.build_dataloader(cfg[f'{args.split}_dataloader'], seed=0)
    load_as_shown(loader.dataset)
    if isinstance(surrogate, RotatedIoUSurrogate):
        kinds = compare_boxes(model, surrogate, loader, args.split)
        drawn = plot_quality(kinds, args.out, 'of 1 - IoU', 0.1, args.font)
        report(kinds, drawn, 'of 1 - IoU', 0.1)
        report_picture(args, 'quality')
        return
    kinds, lengths = compare(model, surrogate, loader, args.split)
    report(kinds, plot_quality(kinds, args.out, font=args.font), 'edits')
    lengths, values = np.array(lengths), np.array(kinds[f'{args.split} predictions'][1])
    wrong = values > 0
    if wrong.any() and not wrong.all():
        print(
            f'gradient magnitude at the logits: {lengths[~wrong].mean():.3f} for right '
            f'predictions, {lengths[wrong].mean():.3f} for wrong ones; the {wrong.mean():.0%} that '
            f'are wrong get {lengths[wrong].sum() / lengths.sum():.0%} of it'
        )
    report_picture(args, 'quality')


if __name__ == '__main__':
    main()
