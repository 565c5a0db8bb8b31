"""Records the labels that a run has been trained with."""

import os.path as osp

from mmengine.dist import master_only
from mmengine.hooks import Hook

from mmocr_da.datasets.building import of_type
from mmocr_da.datasets.label_fraction import LabelFraction
from mmocr_da.outputs import output_file
from mmocr_da.registry import HOOKS


@HOOKS.register_module()
class LabelSubsetHook(Hook):
    """Write the images of each :class:`LabelFraction` of the training data to the work directory.

    ``labelled_subset.txt``, or ``labelled_subset_<k>.txt`` if there are several, has a comment line
    with fraction, seed and sizes, then one image path per line (its key, if it is in an LMDB),
    unless the subset is the whole dataset. It is an error if a resumed run has another subset.
    """

    @master_only
    def before_train(self, runner) -> None:
        """Write the files, or compare them if the run is resumed.

        Raises:
            ValueError: If the resumed run has other labels.
        """
        found = list(of_type(runner.train_loop.dataloader.dataset, LabelFraction))
        if not found:
            runner.logger.warning(
                'LabelSubsetHook has nothing to record: the training data have no LabelFraction'
            )
        for i, dataset in enumerate(found):
            name = f'labelled_subset_{i}.txt' if len(found) > 1 else 'labelled_subset.txt'
            path = osp.join(runner.work_dir, name)
            text = _describe(dataset)
            if runner.iter > 0 and osp.isfile(path):
                _check_same(path, text)
                continue
            with output_file(path, 'LabelSubsetHook') as file:
                file.write_text(text, encoding='utf-8', newline='\n')


def _describe(dataset: LabelFraction) -> str:
    count, total = len(dataset), dataset.total
    header = f'# fraction={dataset.fraction}, seed={dataset.seed}: {count} of {total} images'
    # A list of all images would be millions of lines that say nothing.
    selected = dataset.selected if count < total else []
    return '\n'.join([header, *(path for _, path in selected), ''])


def _check_same(path: str, text: str) -> None:
    with open(path, encoding='utf-8', newline='') as file:
        before = file.read()
    if before == text:
        return
    pairs = zip(before.splitlines(), text.splitlines())
    there, here = next((pair for pair in pairs if pair[0] != pair[1]), ('another end', 'this one'))
    raise ValueError(
        f'a resumed run must have the labels that it started with, got others than {path} lists: '
        f'{there!r} there and {here!r} here. Set fraction, seed and dataset of LabelFraction back, '
        'or use another work_dir; if only the folder of the images has moved, delete the file'
    )
