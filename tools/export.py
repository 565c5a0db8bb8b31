"""Export an adapted checkpoint to plain MMOCR: one config file and the recognizer's weights.

    python tools/export.py CONFIG CHECKPOINT OUT_DIR

writes ``OUT_DIR/<config name>.py``, ``OUT_DIR/<config name>.pth`` and the dictionary. MMOCR's
``tools/test.py`` and ``TextRecInferencer(model=config, weights=checkpoint)`` take them as they are.
"""

import argparse
import copy
import os.path as osp

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import torch
from mmengine.config import Config, DictAction
from mmengine.runner.checkpoint import CheckpointLoader
from mmocr.registry import MODELS
from mmocr.utils import register_all_modules

from mmocr_da.engine.checkpoints import check_checkpoint, check_finite, weights_of
from mmocr_da.engine.dictionary_check import check_dictionary
from mmocr_da.engine.inference import random_batch
from mmocr_da.engine.launch import load_config
from mmocr_da.export import (
    bundle_dictionaries,
    make_plain,
    remaining_parts,
    same_predictions,
)
from mmocr_da.outputs import output_files


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


def export(cfg: Config, checkpoint: str, out_dir: str, name: str, raw: bool = False) -> tuple:
    """Write the plain config and checkpoint, verify them, and return their two paths.

    If anything fails, nothing is written.
    """
    names = [f'{name}.py', f'{name}.pth']
    # Named after this config: another one may have a dictionary of the same name in the folder.
    with output_files(
        out_dir, names, f'tools/export.py for {name}.py', [cfg.filename, checkpoint]
    ) as folder:
        write_plain(cfg, checkpoint, *(str(folder / name) for name in names), raw)
    return tuple(osp.join(out_dir, name) for name in names)


def write_plain(
    cfg: Config, checkpoint: str, config_file: str, weights_file: str, raw: bool
) -> None:
    """Write the two files and the dictionaries beside them, and verify what was written.

    Raises:
        ValueError: If the model has no plain counterpart.
        RuntimeError: If the plain model predicts something else.
    """
    register_all_modules(init_default_scope=True)
    loaded = CheckpointLoader.load_checkpoint(checkpoint, 'cpu')
    weights = weights_of(loaded, raw)
    adapted = MODELS.build(copy.deepcopy(cfg.model))  # building changes a config
    check_finite(weights, adapted, checkpoint)
    plain, plain_weights = make_plain(cfg, weights, adapted)

    folder = osp.dirname(config_file)
    bundle_dictionaries(plain, folder)
    plain.dump(config_file)
    meta = {
        key: value
        for key, value in loaded.get('meta', {}).items()
        if key in ('dataset_meta', 'epoch', 'iter', 'mmengine_version', 'time', 'seed')
    }
    # Without a name, the inferencers read the config from the checkpoint. So it must be the plain
    # config, with the final place of the dictionary.
    text = Config.fromfile(config_file).pretty_text
    meta['cfg'] = text.replace(folder, osp.dirname(folder))
    torch.save(dict(meta=meta, state_dict=plain_weights), weights_file)

    # From here on the files are loaded as a user would, so that the files themselves are checked.
    plain = Config.fromfile(config_file)
    model = MODELS.build(plain.model)
    model.load_state_dict(torch.load(weights_file)['state_dict'], strict=True)
    adapted.load_state_dict(weights, strict=True)
    if not same_predictions(adapted, model, random_batch(plain)):
        raise RuntimeError(
            f'the plain model does not predict what {checkpoint} does, so nothing was '
            'written: a part that is not exported influences the predictions'
        )


def main():
    args = parse_args()
    cfg = load_config(args.config, cfg_options=args.cfg_options)
    check_checkpoint(args.checkpoint, 'checkpoint')
    check_dictionary(cfg, args.checkpoint)
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
