"""Compares the recognizer before and after an adaptation on images of the target."""

import copy
import os.path as osp
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.device import get_device
from mmocr.registry import DATASETS
from numpy.typing import NDArray

from mmocr_da.datasets.image_files import read_text
from mmocr_da.datasets.image_loading import LoadImageFromFile
from mmocr_da.datasets.notes import printable
from mmocr_da.engine.inference import predict_images
from mmocr_da.evaluation import PredictionChange, Predictions
from mmocr_da.outputs import output_file
from mmocr_da.reporting import RunFolder, run_page
from mmocr_da.reporting.models import ignored

from .image_sources import read_table, target_dataset
from .recognizers import read_recognizer
from .request import BY, Request

#: The page, in the work directory.
PAGE = 'adaptation.html'
#: Target images whose predictions are compared at most.
COMPARED = 2000


def compare(
    request: Request, config: Path, checkpoint: Path, folder: Path
) -> tuple[PredictionChange, str]:
    """Predict target images with both recognizers and write the page about the changes.

    Args:
        config, checkpoint: The exported recognizer.
        folder: Of the page.

    Returns:
        The changes, and the page as Markdown and without pictures.
    """
    items, labels = compared_items(request)
    start, device = read_recognizer(request.config).cfg, get_device()
    before = predict_images(start, request.checkpoint, items, device, surplus=True)
    after = predict_images(Config.fromfile(str(config)), str(checkpoint), items, device)
    change = PredictionChange(
        [printable(item['img_path']) for item in items],
        Predictions.of(before),
        Predictions.of(after),
        labels if any(label is not None for label in labels) else None,
        lexicon=read_text(request.lexicon).split() if request.lexicon else None,
        seed=request.seed,
        **ignored(start),
    )
    loader = LoadImageFromFile()

    def load(i: int) -> NDArray[Any]:
        image: NDArray[Any] = loader(copy.deepcopy(items[i]))['img'][..., ::-1]
        return image

    name, target = config.stem.removesuffix('_adapted'), ', '.join(request.target)
    title = f'Adaptation of {name} to {target}'
    commands = _commands(items, config, checkpoint, folder)
    page = run_page(RunFolder.read(str(folder)), title, change, load, commands)
    with output_file(folder / PAGE, BY) as file:
        file.write_text(page.html(), encoding='utf-8')
    return change, page.markdown()


def compared_items(request: Request) -> tuple[list[dict[str, Any]], list[str | None]]:
    """Return labelled and randomly drawn target images, and their labels where they are known.

    Images that cannot be read are left out.
    """
    dataset = DATASETS.build(target_dataset(request.target))
    dataset.pipeline = Compose([])
    labelled = labels_of_eval(request)
    drawn = np.random.default_rng(request.seed).permutation(len(dataset))[:COMPARED]
    items: list[dict[str, Any]] = [
        dict(img_path=path, instances=[dict(text='')]) for path in labelled
    ]
    others = (dataset.prepare_data(int(i)) for i in sorted(drawn))
    items += [item for item in others if osp.abspath(item['img_path']) not in labelled]
    items = [item for item in items if _is_image(item)]
    return items, [labelled.get(osp.abspath(item['img_path'])) for item in items]


def labels_of_eval(request: Request) -> dict[str, str]:
    """Return the texts of the user's labelled images by their absolute paths.

    Raises:
        ValueError: If a row is wrong, or names no image.
    """
    if request.eval_labels is None:
        return {}
    if not osp.isfile(request.eval_labels):
        raise ValueError(
            f'--eval needs a file with rows path<TAB>text, got {request.eval_labels!r}, which is '
            'none'
        )
    own, folders = osp.dirname(request.eval_labels), [*filter(osp.isdir, request.target)]
    labels: dict[str, str] = {}
    for path, text in read_table(request.eval_labels, '--eval'):
        # Names as word_1.png are in the folders of other images, too: the table's comes first.
        found = _files(path, [own]) or _files(path, folders) or _files(path, [''])
        if not found:
            raise ValueError(
                '--eval must name images by paths that start at the folder of '
                f'{request.eval_labels!r} or at the target, got {path!r}, which is in none of them'
            )
        if len(found) > 1:
            raise ValueError(
                f'--eval must name one image in each row, got {path!r}, which is {found[0]!r} and '
                f'{found[1]!r}; give paths that start at the folder of {request.eval_labels!r}'
            )
        labels[found[0]] = str(text)
    if len(labels) < 2:
        raise ValueError(f'--eval needs labels of at least 2 images, got {len(labels)}')
    return labels


def _files(path: str, folders: Sequence[str]) -> list[str]:
    """The absolute path of a file in each of some folders that has it, once."""
    found = (osp.abspath(osp.join(folder, path)) for folder in folders)
    return [*dict.fromkeys(file for file in found if osp.isfile(file))]


def _is_image(item: dict[str, Any]) -> bool:
    try:
        LoadImageFromFile()(copy.deepcopy(item))
    except Exception:  # whatever a decoder raises; the checks have named such images
        return False
    return True


def _commands(
    items: Sequence[dict[str, Any]], config: Path, checkpoint: Path, folder: Path
) -> dict[str, str]:
    paths = (str(item['img_path']) for item in items)
    image = next((p for p in paths if osp.isfile(p) and printable(p) == p), 'IMAGE')
    inferencer = (
        f"TextRecInferencer(model='{config}', weights='{checkpoint}')('{image}')['predictions']"
    )
    python = f'from mmocr.apis import TextRecInferencer; print({inferencer})'
    return {
        'Predict the text of an image, with MMOCR alone': f'python -c "{python}"',
        'Evaluate it on the test data of the config': f'python tools/test.py {config} {checkpoint}',
        'Look at the curves of the training': f'tensorboard --logdir {folder / "training"}',
    }
