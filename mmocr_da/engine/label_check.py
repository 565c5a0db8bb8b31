"""Finds labels that a recognizer cannot learn."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import partial

from mmengine.logging import MMLogger
from mmengine.runner.loops import _InfiniteDataloaderIterator
from mmocr.models.textrecog.module_losses.base import BaseTextRecogModuleLoss

from mmocr_da.arguments import some
from mmocr_da.datasets.data_samples import data_samples_of
from mmocr_da.datasets.label_texts import labels_of, path_of, unread_labels
from mmocr_da.datasets.notes import printable
from mmocr_da.datasets.seeded_dataset import SeededDataset
from mmocr_da.rng import seeded
from mmocr_da.unicode import to_unicode_form

Label = tuple[int, str]


def reload_data(loop) -> None:
    """Let a loop load its data again after the dataset has left something out."""
    # The workers of MMEngine's loop load batches before any hook is called.
    if getattr(getattr(loop, 'dataloader_iterator', None), '_dataloader', None) is loop.dataloader:
        loop.dataloader_iterator = _InfiniteDataloaderIterator(loop.dataloader)


def check_labels(dataset, module_loss: BaseTextRecogModuleLoss, logger: MMLogger) -> int:
    """Name or leave out the labels that ``module_loss`` cannot encode, see ``LabelCheckHook``.

    Returns:
        Number of items that the dataset leaves out.

    Raises:
        ValueError: If labels are missing, or cannot be encoded and must not be left out.
    """
    known, longest = set(module_loss.dictionary.dict), _longest(module_loss)
    strict = not module_loss.dictionary.with_unknown
    skips = isinstance(dataset, SeededDataset) and dataset.skip_unusable
    unread = unread_labels(dataset)
    unknown, long, missing, total = [], [], [], 0
    for index, text in labels_of(dataset):
        total += 1
        if text is None:
            missing.append((index, ''))
        elif not known.issuperset(in_case(text, module_loss)):
            unknown.append((index, text))
        elif len(text) > longest:
            long.append((index, text))
    suspects = unknown + missing + long
    made = bool(suspects) and pipeline_makes_labels(dataset, suspects)
    if unread and skips:
        allowed = known if strict else None
        dataset.leave_out_labels(
            partial(_cannot_learn, module_loss=module_loss, known=allowed, longest=longest)
        )
    if not suspects or made:
        return 0
    if missing:
        raise ValueError(_report_missing(dataset, missing, total))
    parts = []
    if unknown:
        parts.append(_report_unknown(dataset, unknown, total, module_loss))
    if long:
        parts.append(
            f'{len(long)} of {total} labels are longer than the {longest} characters that '
            f'max_seq_len={module_loss.max_seq_len} of the decoder leaves'
            f'{examples(dataset, long)}'
        )
    message = '. '.join(parts)
    if skips:
        unusable = long + (unknown if strict else [])
        if len(unusable) == total:
            raise ValueError(f'no label is left. {message}')
        dataset.leave_out(index for index, _ in unusable)
        logger.warning(f'{message}. Images left out: {share_left_out(unusable, total, unread)}')
        return len(unusable)
    elif unknown and strict:
        raise ValueError(
            f'{message}. Add the characters to the dict_file, set with_unknown=True '
            f'in the dictionary, or leave these images out: {HOW_TO_SKIP}'
        )
    else:
        logger.warning(
            message
            + (
                f'. MMOCR cuts labels that are too long: raise max_seq_len, or leave '
                f'these images out: {HOW_TO_SKIP}'
                if long
                else ''
            )
        )
    return 0


def share_left_out(unusable: Sequence[Label], total: int, unread: int) -> str:
    """Say how many images are left out of ``total`` whose label was read."""
    rest = f'; the other {unread:,} labels are looked at when they are drawn' if unread else ''
    return f'{len(unusable)} of {total}{rest}'


def _cannot_learn(
    text: str,
    module_loss: BaseTextRecogModuleLoss,
    known: set[str] | None,
    longest: float,
) -> bool:
    """Whether a label is too long, or has characters outside ``known``."""
    if known is not None and not known.issuperset(in_case(text, module_loss)):
        return True
    return len(text) > longest


HOW_TO_SKIP = 'skip_unusable=True of TwoDomainDataset or SeededDataset'


def in_case(text: str, module_loss: BaseTextRecogModuleLoss) -> str:
    """Convert a label to the letter case in which the loss learns it."""
    if module_loss.letter_case not in ('upper', 'lower'):
        return text
    return text.upper() if module_loss.letter_case == 'upper' else text.lower()


def _longest(module_loss: BaseTextRecogModuleLoss) -> float:
    """Number of characters of the longest label that is not cut."""
    # Subclasses, such as CTC, may encode labels in another way.
    cuts = type(module_loss).get_targets is BaseTextRecogModuleLoss.get_targets
    if not cuts or module_loss.pad_idx is None:
        return float('inf')
    dictionary = module_loss.dictionary
    tokens = sum(index is not None for index in (dictionary.start_idx, dictionary.end_idx))
    return module_loss.max_seq_len - tokens


def pipeline_makes_labels(dataset, suspects: list[Label]) -> bool:
    """Whether the pipeline changes the texts, so that the annotations are not the labels."""
    for index, text in suspects[:5]:
        try:
            # The random numbers of the run are not changed.
            with seeded(0):
                sample = next(data_samples_of(dataset[index]))
        except Exception:  # no text, or no image: training will say so
            continue
        # The dataset replaces a broken image by another one.
        if printable(sample.get('img_path')).endswith(path_of(dataset, index)):
            return getattr(sample.get('gt_text'), 'item', '') != _in_form(dataset, text)
    return False


def _in_form(dataset, text: str) -> str:
    form = getattr(dataset, 'unicode_form', None)
    return to_unicode_form(text, form)


def _report_missing(dataset, missing: list[Label], total: int) -> str:
    data = dataset.get_data_info(missing[0][0])
    instances = data.get('instances') or ()
    keys = sorted(instances[0]) if instances else 'none'
    return (
        f'a recognizer needs one text per image, got {len(missing)} of {total} images without, '
        f'such as {path_of(dataset, missing[0][0])} with {len(instances)} instances and their '
        f'keys {keys}: is the ann_file for another task, such as detection?'
    )


def _report_unknown(dataset, unknown: list[Label], total: int, module_loss) -> str:
    dictionary = module_loss.dictionary
    known = set(dictionary.dict)
    cased = [in_case(text, module_loss) for _, text in unknown]
    counts = Counter(char for text in cased for char in set(text) - known)
    chars = some([f'{_describe(char)} in {n}' for char, n in counts.most_common()], 10)
    fate = ''
    if dictionary.with_unknown:
        fate = (
            ' and are trained as the unknown token'
            if dictionary.unknown_idx is not None
            else ' and are trained without these characters'
        )
    message = (
        f'{len(unknown)} of {total} labels have characters outside the dictionary{fate}: '
        f'{chars}{examples(dataset, unknown)}'
    )
    for form in ('NFC', 'NFD', 'NFKC'):
        texts = (in_case(to_unicode_form(text, form), module_loss) for _, text in unknown)
        cured = sum(map(known.issuperset, texts))
        if cured:
            return (
                f'{message}. In the Unicode form {form}, {cured} of them fit: set unicode_form='
                f'{form!r} of TwoDomainDataset or SeededDataset, and of TextErrorMetric'
            )
    return message


def _describe(char: str) -> str:
    return f'{char!r} (U+{ord(char):04X} {unicodedata.name(char, "without a name")})'


def examples(dataset, labels: list[Label], shown: int = 3) -> str:
    """Name the first few labels and the paths of their images, for the end of a message."""
    texts = ', '.join(f'{text!r} ({path_of(dataset, i)})' for i, text in labels[:shown])
    return f'; for example {texts}'
