"""Export a recognizer to ONNX: one file, which needs neither PyTorch nor MMOCR to predict texts.

    python tools/export_onnx.py CONFIG CHECKPOINT OUT.onnx

CONFIG is a file or a name of MMOCR. An adaptive recognizer is made plain before, as by
``tools/export.py``. The file holds greedy decoding, the dictionary and how to prepare an image;
``mmocr_da.onnx_export.OnnxInferencer`` reads it. Needs ``pip install 'mmocr_da[onnx]'``.
"""

import argparse

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
from mmengine.config import DictAction

from mmocr_da.config_names import find_config
from mmocr_da.engine.checkpoints import check_checkpoint
from mmocr_da.engine.launch import load_config
from mmocr_da.onnx_export import check_installed, export_onnx


def parse_args():
    parser = argparse.ArgumentParser(description='Export a recognizer to ONNX')
    parser.add_argument('config', help='Config of a plain or adaptive recognizer, a file or a name')
    parser.add_argument('checkpoint', help='Its checkpoint')
    parser.add_argument('out', help='The file to write, OUT.onnx')
    parser.add_argument(
        '--raw',
        action='store_true',
        help='With EMAHook, export the trained weights instead of their moving average',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='Override settings of the config, key=value pairs',
    )
    args = parser.parse_args()
    try:
        check_installed()
    except ImportError as error:
        parser.error(str(error))
    return args


def main():
    args = parse_args()
    cfg = load_config(find_config(args.config)[0], cfg_options=args.cfg_options)
    check_checkpoint(args.checkpoint, 'checkpoint')
    written = export_onnx(cfg, args.checkpoint, args.out, args.raw)
    print(written.path)
    print(
        'verified: the same texts as the recognizer; the probabilities of their characters differ '
        f'by at most {written.difference:.1e}'
    )


if __name__ == '__main__':
    main()
