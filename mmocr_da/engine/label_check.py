"""Labels that a recognizer cannot learn are named before training starts."""

import unicodedata
from collections import Counter
from collections.abc import Callable

from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner.loops import _InfiniteDataloaderIterator
from mmocr.models.textrecog.module_losses.base import BaseTextRecogModuleLoss

from mmocr_da.datasets.data_samples import data_samples_of
from mmocr_da.datasets.label_texts import labels_of, path_of
from mmocr_da.datasets.notes import printable
from mmocr_da.datasets.seeded_dataset import SeededDataset
from mmocr_da.registry import HOOKS
from mmocr_da.rng import seeded
from mmocr_da.unicode import to_unicode_form

Label = tuple[int, str]


@HOOKS.register_module()
class LabelCheckHook(Hook):
    """Look at all labels once, when training starts.

    Characters outside the dictionary are an error, with their code points and what helps, or a
    warning if the dictionary has ``with_unknown``. Labels that the decoder's ``max_seq_len`` cuts
    are a warning. With ``skip_unusable`` of a :class:`SeededDataset` the images of both are left
    out instead.
    """

    # Before hooks that look at what is left.
    priority = 'VERY_HIGH'

    def before_train(self, runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        module_loss = getattr(getattr(model, 'decoder', None), 'module_loss', None)
        # SeqCLR has a decoder, but no use for labels.
        if isinstance(module_loss, BaseTextRecogModuleLoss) and not hasattr(
            model, 'contrastive_loss'
        ):
            if check_labels(runner.train_dataloader.dataset, module_loss, runner.logger):
                load_anew(runner.train_loop)


def load_anew(loop) -> None:
    """Have a loop start to load once more, now that the dataset leaves something out."""
    # The workers of MMEngine's loop have loaded batches before any hook was called.
    if getattr(getattr(loop, 'dataloader_iterator', None), '_dataloader', None) is loop.dataloader:
        loop.dataloader_iterator = _InfiniteDataloaderIterator(loop.dataloader)


def check_labels(dataset, module_loss: BaseTextRecogModuleLoss, logger: MMLogger) -> int:
    """Raise a ValueError, warn or leave out what ``module_loss`` cannot encode; see the hook.

    Returns:
        How many items are left out.
    """
    known, case, longest = _limits(module_loss)
    unknown, long, missing, total = [], [], [], 0
    for index, text in labels_of(dataset):
        total += 1
        if text is None:
            missing.append((index, ''))
        elif not known.issuperset(case(text)):
            unknown.append((index, text))
        elif len(text) > longest:
            long.append((index, text))
    suspects = unknown + missing + long
    if not suspects or pipeline_makes_labels(dataset, suspects):
        return 0
    if missing:
        raise ValueError(_report_missing(dataset, missing, total))
    strict = not module_loss.dictionary.with_unknown
    skips = isinstance(dataset, SeededDataset) and dataset.skip_unusable
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
        logger.warning(f'{message}. Images left out: {len(unusable)} of {total}')
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
                f'. MMOCR cuts what is too long: raise max_seq_len, or leave '
                f'these images out: {HOW_TO_SKIP}'
                if long
                else ''
            )
        )
    return 0


HOW_TO_SKIP = 'skip_unusable=True of TwoDomainDataset or SeededDataset'


def _limits(module_loss: BaseTextRecogModuleLoss) -> tuple[set, Callable[[str], str], float]:
    """Known characters, the change of letter case, and the length of the longest label."""
    dictionary = module_loss.dictionary
    cases = dict(lower=str.lower, upper=str.upper)
    cuts = (
        type(module_loss).get_targets is BaseTextRecogModuleLoss.get_targets
        and module_loss.pad_idx is not None
    )
    tokens = sum(index is not None for index in (dictionary.start_idx, dictionary.end_idx))
    return (
        set(dictionary.dict),
        cases.get(module_loss.letter_case, str),
        module_loss.max_seq_len - tokens if cuts else float('inf'),
    )


def pipeline_makes_labels(dataset, suspects: list[Label]) -> bool:
    """Whether the pipeline changes the texts, so that the annotations do not show the labels."""
    for index, text in suspects[:5]:
        try:
            # Without a trace in the random numbers of the run.
            with seeded(0):
                sample = next(data_samples_of(dataset[index]))
        except Exception:  # since there is no text, or no image; training will say
            continue
        # A broken image is replaced by another.
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
        f'keys {keys}: is the ann_file that of another task, such as detection?'
    )


def _report_unknown(dataset, unknown: list[Label], total: int, module_loss) -> str:
    known, case, _ = _limits(module_loss)
    counts = Counter(char for _, text in unknown for char in set(case(text)) - known)
    chars = ', '.join(f'{_describe(char)} in {n}' for char, n in counts.most_common(10))
    more = f' and {len(counts) - 10} more characters' if len(counts) > 10 else ''
    dictionary = module_loss.dictionary
    fate = ''
    if dictionary.with_unknown:
        fate = (
            ' and are trained as the unknown token'
            if dictionary.unknown_idx is not None
            else ' and are trained without these characters'
        )
    message = (
        f'{len(unknown)} of {total} labels have characters outside the dictionary{fate}: '
        f'{chars}{more}{examples(dataset, unknown)}'
    )
    for form in ('NFC', 'NFD', 'NFKC'):
        cured = sum(known.issuperset(case(to_unicode_form(t, form))) for _, t in unknown)
        if cured:
            return (
                f'{message}. In the Unicode form {form}, {cured} of them fit: set unicode_form='
                f'{form!r} of TwoDomainDataset or SeededDataset, and of TextErrorMetric'
            )
    return message


def _describe(char: str) -> str:
    return f'{char!r} (U+{ord(char):04X} {unicodedata.name(char, "without a name")})'


def examples(dataset, labels: list[Label], shown: int = 3) -> str:
    texts = ', '.join(f'{text!r} ({path_of(dataset, i)})' for i, text in labels[:shown])
    return f'; for example {texts}'
