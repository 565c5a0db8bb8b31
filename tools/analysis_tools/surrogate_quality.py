"""Report how good a learned surrogate is on images it was not trained with.

    python tools/analysis_tools/surrogate_quality.py CONFIG CHECKPOINT --out quality.png

A recognizer with ``LSEDLoss`` reads the images of the config's ``val_dataloader``; the surrogate's
estimates are drawn against the true edit distances, those of as many generated pairs beside them.
How long the gradient of an estimate is, at the recognizer's logits, says what it pulls at. Of a
detector with ``LSIoULoss`` it is the boxes found, each with the label that it overlaps with most.
With ``--surrogate`` another surrogate judges the same readings or boxes.
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
from mmocr_da.engine.export import select_weights
from mmocr_da.engine.launch import check_checkpoint, check_finite, load_config
from mmocr_da.engine.model_parts import find_surrogate
from mmocr_da.models.decoders import FreeReading, read_freely
from mmocr_da.models.surrogates import EditDistanceSurrogate, RotatedIoUSurrogate
from mmocr_da.models.surrogates.quality import error_by_value
from mmocr_da.structures import polygons_to_rotated, rotated_overlaps
from mmocr_da.visualization import add_picture_arguments, check_picture, plot_quality


@torch.no_grad()
def compare(
    model: torch.nn.Module, surrogate: EditDistanceSurrogate, loader, split: str, seed: int = 0
) -> tuple[dict, list[float]]:
    """``(estimates, values)`` of the readings of a dataloader, and of generated pairs.

    And lengths of the gradients of the first ones' estimates, at the recognizer's logits.
    """
    lengths = []
    kinds = {f'{split} readings': ([], []), 'generated pairs': ([], [])}
    rng = np.random.default_rng(seed)
    bar = ProgressBar(len(loader))
    for data in loader:
        data = model.data_preprocessor(data, False)
        samples = model.decoder.module_loss.get_targets(data['data_samples'])
        feature_map = model.extract_feat(data['inputs'])
        sequence = model.encoder(feature_map, samples) if model.with_encoder else None
        logits = read_freely(model.decoder, feature_map, sequence, samples).requires_grad_()
        with torch.enable_grad():
            reading = FreeReading(logits, [s.gt_text.indexes for s in samples])
            z = surrogate.encode_prediction(reading.probabilities)
            y = surrogate.encode(reading.texts).to(z)
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
    """``(estimates, values)`` of the boxes found, and of as many generated pairs."""
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
            f'no box that the detector finds in the {split} images overlaps with a '
            'label; train it first'
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
    register_all_modules(init_default_scope=True)
    model = MODELS.build(cfg.model)
    find_surrogate(model)
    weights = select_weights(CheckpointLoader.load_checkpoint(checkpoint, 'cpu'))
    check_finite(weights, model, checkpoint)
    load_checkpoint(model, checkpoint, map_location='cpu')
    return model.to(get_device()).eval()


def report(kinds: dict, drawn: dict, unit: str, step: float = 0) -> None:
    """Say what the picture shows."""
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
        args.out, 'plot_quality', [args.config, args.checkpoint, args.surrogate], args.font
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
        print(args.out)
        return
    kinds, lengths = compare(model, surrogate, loader, args.split)
    report(kinds, plot_quality(kinds, args.out, font=args.font), 'edits')
    lengths, values = np.array(lengths), np.array(kinds[f'{args.split} readings'][1])
    misread = values > 0
    if misread.any() and not misread.all():
        print(
            f'gradient at the logits: {lengths[~misread].mean():.3f} long where the reading is '
            f'right, {lengths[misread].mean():.3f} where it is not; the {misread.mean():.0%} '
            f'that are misread get {lengths[misread].sum() / lengths.sum():.0%} of it'
        )
    print(args.out)


if __name__ == '__main__':
    main()
