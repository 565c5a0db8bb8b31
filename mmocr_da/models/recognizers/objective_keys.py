"""Converts keys of objectives in old checkpoints, which have numbers instead of names."""

import logging
import re
from collections.abc import Sequence

from mmengine.logging import print_log
from torch import Tensor, nn


def name_objectives(
    state_dict: dict[str, Tensor],
    objectives: nn.ModuleDict,
    listed: Sequence[str],
    prefix: str = '',
    strict: bool = False,
) -> None:
    """Rename ``objectives.0.*`` to ``objectives.<name>.*`` in a checkpoint of an older version.

    The number is a place in the list of a config, here ``listed``. If a weight does not fit the
    objective at its place, the checkpoint belongs to another list. Then no key is renamed, as a
    guess could swap two discriminators, and a warning is logged.

    Raises:
        ValueError: With ``strict``, if a weight does not fit.
    """
    pattern = re.compile(rf'{re.escape(prefix)}objectives\.(\d+)\.(.+)')
    matches = [match for match in map(pattern.fullmatch, state_dict) if match]
    if not matches:
        return
    found = {(int(m[1]), m[2]): state_dict[m[0]].shape for m in matches}
    wanted = {
        (place, key): value.shape
        for place, name in enumerate(listed)
        for key, value in objectives[name].state_dict().items()
    }
    places = sorted({place for place, _ in found})
    if found != wanted:
        message = (
            f'the checkpoint numbers its objectives ({", ".join(f"objectives.{i}" for i in places)}'
            f'), and their weights do not fit the objectives of the config, {list(listed)}: they '
            'are not used; give the list that the checkpoint was trained with to use them'
        )
        if strict:
            raise ValueError(message)
        print_log(message, logger='current', level=logging.WARNING)
        return
    print_log(
        'the checkpoint numbers its objectives, which now have names; by the order in the '
        f'config it has {", ".join(f"{i}: {listed[i]}" for i in places)}. If it was trained '
        'with another order, give that one. The state of an optimizer is in the order of the '
        'names, so a resumed run continues exactly only if that is the same order',
        logger='current',
        level=logging.WARNING,
    )
    for m in matches:
        state_dict[f'{prefix}objectives.{listed[int(m[1])]}.{m[2]}'] = state_dict.pop(m[0])
