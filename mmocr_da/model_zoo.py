"""Published recognizers, found by their names: configs and weights that a model index lists.

The recognizers of this package are in ``configs/zoo``, with their weights. MMOCR's inferencers find
them by name, too, as ``startup`` adds them to MMOCR's list:

    TextRecInferencer('small-aster_printed-to-handwritten')('number.png')
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.fileio import load
from mmengine.infer import BaseInferencer

from mmocr_da.config_names import CONFIGS

INDEX = CONFIGS.parent


def published_here() -> Iterator[dict[str, Any]]:
    """Yield the models of this package as its metafiles describe them, with paths of files."""
    for metafile in load(str(INDEX / 'model-index.yml'))['Import']:
        for model in load(str(INDEX / metafile))['Models']:
            files = {key: str(INDEX / model[key]) for key in ('Config', 'Weights')}
            yield dict(model, **files)


def published_weights(config: str) -> str | None:
    """Find the weights that are published for a config.

    Args:
        config: A name. A file is the user's, even if it is called like a published one.

    Returns:
        A path or an address; None if there are none.
    """
    if Path(config).is_file():
        return None
    wanted = Path(config.rpartition('::')[2]).stem.lower()
    # It has ours, too: see `startup.register_models`.
    folder = BaseInferencer._get_repo_or_mim_dir('mmocr')
    for model in BaseInferencer._get_models_from_metafile(folder):
        aliases = model.get('Alias', [])
        names = [model['Name'], *([aliases] if isinstance(aliases, str) else aliases)]
        if wanted in [name.lower() for name in names] and model.get('Weights'):
            weights = model['Weights']
            return weights[0] if isinstance(weights, list) else weights
    return None


def weights_for(config: str) -> str:
    """Find the weights that are published for a config, or say what there is.

    Raises:
        ValueError: If there are none.
    """
    weights = published_weights(config)
    if weights is None:
        raise ValueError(
            f'a checkpoint must be given with the config {config!r}, for which no weights are '
            'published; they are for the names of MMOCR, such as crnn_mini-vgg_5e_mj, and for '
            + ', '.join(model['Name'] for model in published_here())
        )
    return weights
