"""Output folders of converters: complete or absent, with a stamp of the options."""

import json
from contextlib import contextmanager

import cv2

from mmocr_da.outputs import output_file, output_folder

STAMP = 'complete.json'


def save_json(path, data_list):
    """Write the annotations of word images in MMOCR's format."""
    metainfo = dict(dataset_type='TextRecogDataset', task_name='textrecog')
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(dict(metainfo=metainfo, data_list=data_list), file, ensure_ascii=False)


def save_image(path, image):
    """Write an image.

    Raises:
        OSError: If OpenCV cannot write it.
    """
    if not cv2.imwrite(str(path), image):
        raise OSError(f'{path} could not be written; is the disk full?')


def save_sheet(root, sheet, options):
    """Write ``root/contact_sheet.png``, an overview of data that are complete."""
    with output_file(root / 'contact_sheet.png', writer(options)) as path:
        save_image(path, sheet)


def check_out_dir(out, options, force):
    """Return whether ``out`` already has the data of ``options``.

    Raises:
        ValueError: If it has anything else; data of other options are replaced with ``force``.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not (out / STAMP).is_file():
        raise ValueError(
            f'--out-dir {out} exists and was not written by this converter; choose a '
            'new folder, nothing in it was touched'
        )
    there = json.loads((out / STAMP).read_text(encoding='utf-8'))
    if there.get('converter') != options.get('converter'):
        raise ValueError(
            f'--out-dir {out} holds data of another converter; choose a new folder, '
            'nothing in it was touched'
        )
    if there == options:
        return True
    if not force:
        keys = [k for k in options if options[k] != there.get(k)]
        different = ', '.join(f'{k}: {there.get(k)} there, {options[k]} requested' for k in keys)
        raise ValueError(
            f'--out-dir {out} holds data of other options ({different}); choose '
            'another folder or replace the data with --force'
        )
    return False


def writer(options):
    """Name of the converter that has these options."""
    return options.get('converter', 'printed_to_handwritten')


@contextmanager
def whole_folder(out, options, force=False):
    """Yield a folder to write the data of ``options`` to; it becomes ``out`` if no error occurs."""
    with output_folder(out, writer(options), replace=force) as partial:
        yield partial
        (partial / STAMP).write_text(json.dumps(options, indent=1) + '\n', encoding='utf-8')
