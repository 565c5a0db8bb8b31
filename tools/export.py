"""Export an adapted checkpoint to plain MMOCR: one config file and the recognizer's weights.

    python tools/export.py CONFIG CHECKPOINT OUT_DIR

writes ``OUT_DIR/<config name>.py``, ``OUT_DIR/<config name>.pth`` and the dictionary. MMOCR's
``tools/test.py`` and ``TextRecInferencer(model=config, weights=checkpoint)`` take them as they are.
"""

import argparse
import os.path as osp

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
from mmengine.config import Config, DictAction

from mmocr_da.engine.checkpoints import check_checkpoint
from mmocr_da.engine.launch import load_config
from mmocr_da.export import export, remaining_parts


def parse_args():
    parser = argparse.ArgumentParser(description='Export an adapted model to plain MMOCR')
    parser.add_argument('config', help='Config file of the adapted model')
    parser.add_argument('checkpoint', help='Checkpoint of the adapted model')
    parser.add_argument('out_dir', help='Folder for the plain config and checkpoint')
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
    return parser.parse_args()


def main():
    args = parse_args()
    cfg = load_config(args.config, cfg_options=args.cfg_options)
    check_checkpoint(args.checkpoint, 'checkpoint')
    name = osp.splitext(osp.basename(args.config))[0]
    config_file, weights_file = export(cfg, args.checkpoint, args.out_dir, name, args.raw)
    print(f'{config_file}\n{weights_file}')
    print('verified: loads with strict=True, same predictions as the adapted model on random input')
    plain = Config.fromfile(config_file)
    if not plain.test_dataloader.dataset.get('pipeline'):
        print(
            "MMOCR's inferencers will not find a pipeline, as the test datasets have different "
            'ones; give them one as test_dataloader.dataset.pipeline'
        )
    ours = remaining_parts(plain)
    if ours:
        print(f'needs mmocr_da installed for {", ".join(ours)}')
    else:
        print('needs only MMOCR')


if __name__ == '__main__':
    main()
