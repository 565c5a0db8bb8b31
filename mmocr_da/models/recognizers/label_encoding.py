"""Encodes labels as the indexes that decoders and their losses use."""

import torch
from mmocr.models.textrecog.decoders.base import BaseDecoder
from mmocr.structures import TextRecogDataSample

from mmocr_da.device import on_device


def encode_texts(
    decoder: BaseDecoder, samples: list[TextRecogDataSample], device: torch.device
) -> None:
    """Add the token indexes of their labels to data samples, in place.

    Padded indexes are copied to the device in one step; MMOCR copies them image by image, and the
    host waits each time.

    Raises:
        ValueError: If a character has no index; the message names text and image.
    """
    try:
        decoder.module_loss.get_targets(samples)
    except Exception as error:  # MMOCR raises the bare class
        known = decoder.dictionary
        for sample in samples:
            text = sample.gt_text.item
            case = getattr(decoder.module_loss, 'letter_case', 'unchanged')
            cased = text if case == 'unchanged' else getattr(text, case)()
            unknown = sorted({c for c in cased if known.char2idx(c, strict=False) is None})
            if unknown:
                raise ValueError(
                    f'the text {text!r} of {sample.get("img_path")} has characters outside the '
                    f'dictionary: {unknown}; add them to its dict_file, set with_unknown=True '
                    'in the dictionary, or clean the labels'
                ) from error
        raise
    padded = [s.gt_text for s in samples if 'padded_indexes' in s.gt_text]
    # Texts of unequal length are an error of the decoder of single characters itself.
    if padded and len({len(text.padded_indexes) for text in padded}) == 1:
        rows = on_device(torch.stack([text.padded_indexes for text in padded]), device)
        for text, row in zip(padded, rows):
            text.padded_indexes = row
