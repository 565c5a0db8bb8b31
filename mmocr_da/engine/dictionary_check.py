"""Checks that a checkpoint was trained with the dictionary of the config."""

import logging
import os.path as osp
from itertools import zip_longest

from mmengine.config import Config
from mmengine.logging import print_log
from mmocr.registry import TASK_UTILS

from .checkpoints import read_checkpoint
from .resume import read_config


def check_dictionary(cfg: Config, checkpoint: str | None, fine_tuning: bool = False) -> None:
    """Check that a checkpoint was trained with the dictionary of the config.

    With another dictionary of the same size, the classifier would load and confuse the characters.
    In ``fine_tuning``, a model without objectives, or with its decoder among ``new_parts``, gets
    only a warning: a change of the alphabet may be intended.

    The checkpoint's dictionary is taken from the config that MMEngine saves with it. Nothing is
    checked if there is none, or if the checkpoint is remote.

    Raises:
        ValueError: If the dictionaries differ.
    """
    if checkpoint is None or '://' in checkpoint:
        return
    try:
        ours = TASK_UTILS.build(cfg.model.decoder.dictionary)
        arguments = _dictionary_of(read_checkpoint(checkpoint)['meta']['cfg'])
        if not osp.isfile(arguments['dict_file']):  # on this machine; nothing is downloaded
            print_log(
                f'the dictionary of {checkpoint!r} could not be compared with the one in '
                f'the config, as {arguments["dict_file"]!r} is not there',
                logger='current',
                level=logging.WARNING,
            )
            return
        # The class comes from the config: code that a checkpoint names is not run.
        theirs = type(ours)(**arguments)
    # No recognizer, no config inside, a dictionary of another class, ...: the runner checks the
    # rest.
    except Exception:
        return
    if theirs.dict == ours.dict:
        return
    pairs = enumerate(zip_longest(theirs.dict, ours.dict))
    index, pair = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
    there, here = ('nothing' if char is None else repr(char) for char in pair)
    message = (
        f'the checkpoint must be trained with the dictionary of the config, got {checkpoint!r} '
        f'with {theirs.num_classes} classes against {ours.num_classes}: class {index} is {there} '
        f'there and {here} here. '
    )
    if not fine_tuning or cfg.model.get('objectives') and not _is_new(cfg, 'decoder'):
        raise ValueError(
            f'{message}Set model.decoder.dictionary to what the checkpoint has, {arguments}, or '
            'train the source model with the dictionary of this config'
            + (", or set new_parts=['decoder'] to learn the characters again" * fine_tuning)
        )
    print_log(
        f'{message}Its classifier has to learn the characters again.',
        logger='current',
        level=logging.WARNING,
    )


def _is_new(cfg: Config, part: str) -> bool:
    """Whether ``new_parts`` of the config names a part or something within it."""
    names = cfg.get('new_parts') or ()
    return any(
        str(name).split('.')[0] == part for name in ([names] if isinstance(names, str) else names)
    )


def _dictionary_of(text: str) -> dict:
    """Arguments of ``model.decoder.dictionary`` in the text of a config, which is not run.

    ``Config.fromstring`` would run it, and a checkpoint may come from anywhere.

    >>> _dictionary_of("model = dict(decoder=dict(dictionary=dict(type='Dictionary', n=1)))")
    {'n': 1}
    """
    arguments = read_config(text)['model']['decoder']['dictionary']
    return {key: value for key, value in arguments.items() if key not in ('type', '_scope_')}
