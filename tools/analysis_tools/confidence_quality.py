"""Measure how well a recognizer's confidence tells right predictions from wrong ones.

    python tools/analysis_tools/confidence_quality.py CONFIG CHECKPOINT

It predicts the last dataset of ``test_dataloader`` (the target, if the datasets are source and
target), which must have labels, and prints a table for the two confidences that
``mmocr_da.SelfTraining`` knows, with and without ``length_normalized``: the AUROC, which is the
chance that a right prediction has a higher confidence than a wrong one, and for some thresholds
the share of images that reach it and how many of these are right. Empty predictions count in the
shares, and not in the AUROC, as they are never learned.
"""

import argparse
import copy

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmocr.utils import register_all_modules
from sklearn.metrics import roc_auc_score

from mmocr_da.datasets.image_loading import load_as_shown
from mmocr_da.engine.launch import load_config
from mmocr_da.engine.samples import dataset_of
from mmocr_da.evaluation import normalize
from mmocr_da.evaluation.comparison import add_comparison_arguments, comparison_options
from mmocr_da.export import load_plain
from mmocr_da.markdown import table
from mmocr_da.models.decoders import adapter_of
from mmocr_da.models.valid_ratio import valid_ratios


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--dataset', type=int, default=-1, help='Index of the test dataset')
    parser.add_argument(
        '--thresholds', type=float, nargs='+', default=[0.5, 0.9], help='Default: 0.5 0.9'
    )
    add_comparison_arguments(parser)
    return parser.parse_args()


def one_dataset(cfg: Config, index: int) -> dict:
    """Return the test loader's config, of one of its datasets and in this process.

    Raises:
        ValueError: If there is no dataset of this index.
    """
    loader = copy.deepcopy(cfg.test_dataloader)
    pipeline = loader.dataset.get('pipeline')
    loader.dataset = dataset_of(loader, index)
    if pipeline and not loader.dataset.get('pipeline'):
        loader.dataset.pipeline = pipeline
    loader.update(num_workers=0, persistent_workers=False)
    return loader


@torch.no_grad()
def predict(cfg: Config, checkpoint: str, loader: dict) -> list[tuple[str, str, float, float]]:
    """Predict labelled images with the model as it is exported.

    Returns:
        Ground truth, prediction, its confidence and the normalized one, of each image.

    Raises:
        ValueError: If an image has no label.
    """
    model = load_plain(cfg, checkpoint)
    decoder, rows = model.decoder, []
    dataloader = Runner.build_dataloader(loader)
    load_as_shown(dataloader.dataset)
    for batch in dataloader:
        data = model.data_preprocessor(batch, False)
        images, samples = data['inputs'], data['data_samples']
        feature_map = model.extract_feat(images)
        sequence = model.encoder(feature_map, samples) if model.with_encoder else None
        probabilities = decoder(feature_map, sequence, samples)
        decoder.postprocessor(probabilities, samples)
        confidences = [
            adapter_of(decoder).word_confidences(probabilities, valid_ratios(samples), normalized)
            for normalized in (False, True)
        ]
        for sample, *found in zip(samples, *(values.tolist() for values in confidences)):
            if not getattr(sample.get('gt_text'), 'item', None):
                raise ValueError(
                    f'the test images must have labels, got none for {sample.get("img_path")}; '
                    'choose another dataset by --dataset'
                )
            rows.append((sample.gt_text.item, sample.pred_text.item, *found))
    return rows


def quality(confidences: list[float], right: list[bool], empty: list[bool], thresholds) -> list:
    """Cells of a row: AUROC, and for each threshold the share that reaches it and what is right.

    >>> quality([0.9, 0.6, 0.7, 0.1], [True, True, False, False], [False] * 4, [0.5])
    ['0.750', '75.0 %, 66.7 % right']
    """
    learned = [i for i, is_empty in enumerate(empty) if not is_empty]
    outcomes = {right[i] for i in learned}
    auroc = '-'  # all are right, or all are wrong
    if len(outcomes) == 2:
        scores = [confidences[i] for i in learned]
        auroc = f'{roc_auc_score([right[i] for i in learned], scores):.3f}'
    cells = [auroc]
    for threshold in thresholds:
        kept = [right[i] for i in learned if confidences[i] >= threshold]
        cell = f'{100 * len(kept) / len(right):.1f} %'
        cells.append(f'{cell}, {100 * sum(kept) / len(kept):.1f} % right' if kept else cell)
    return cells


def main():
    args = parse_args()
    cfg = load_config(args.config)
    register_all_modules(init_default_scope=True)
    truths, texts, *confidences = zip(
        *predict(cfg, args.checkpoint, one_dataset(cfg, args.dataset))
    )
    options = comparison_options(args)
    right = [normalize(a, **options) == normalize(b, **options) for a, b in zip(truths, texts)]
    empty = [not text for text in texts]
    print(
        f'{len(right)} images, {100 * sum(right) / len(right):.1f} % right, '
        f'{sum(empty)} empty predictions'
    )
    rows = [['confidence', 'AUROC', *(f'at least {t:g}' for t in args.thresholds)]]
    for name, values in zip(('of the text', 'length_normalized'), confidences):
        rows.append([name, *quality(values, right, empty, args.thresholds)])
    print(table(rows))


if __name__ == '__main__':
    main()
