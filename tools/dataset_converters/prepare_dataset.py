"""Prepare handwritten words that MMOCR's ``prepare_dataset.py`` lacks: iam, rimes, cvl.

    python tools/dataset_converters/prepare_dataset.py iam --archives FOLDER --out data/iam

The archives are under licence: request them and put them into FOLDER unchanged. If one is missing,
an error says which and where to get it. The tool writes ``OUT/textrecog_{train,val,test}.json`` in
MMOCR's format; ``OUT/annotations/report_SPLIT.json`` names every image that was left out. It can be
interrupted and run again.
"""

import argparse
from collections import Counter
from pathlib import Path

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import mmengine
from mmengine.config import Config, DictAction
from mmocr.datasets.preparers import DatasetPreparer
from mmocr.models.common import Dictionary
from mmocr.registry import DATA_OBTAINERS

from mmocr_da.outputs import output_files

BASE = Path(__file__).resolve().parents[2] / 'configs/_base_'
ZOO = BASE / 'dataset_zoo'
SPLITS = ('train', 'val', 'test')
FEW = 10  # names of skipped images to print


def parse_args(argv=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('dataset', choices=sorted(path.parent.name for path in ZOO.glob('*/*.py')))
    parser.add_argument('--archives', help="Folder with the archives; default: the zoo's")
    parser.add_argument('--out', help="Folder for the dataset; default: the zoo's")
    parser.add_argument('--splits', nargs='+', choices=SPLITS, default=SPLITS)
    parser.add_argument('--nproc', type=int, default=4, help='Number of processes')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='Override settings of the zoo, as train_preparer.parser.only_ok=False',
    )
    return parser.parse_args(argv)


def print_licence(folder: Path) -> None:
    """Print the terms of the data from the metafile."""
    meta = mmengine.load(folder / 'metafile.yml')
    licence = meta['Data']['License']
    print(
        f'{meta["Name"]}\nLicence: {licence["Type"]}, {licence["Link"]}\nNeither MMOCR nor this '
        f'package owns it: keep to the licence, and cite\n{meta["Paper"]["BibTeX"]}\n'
    )


def summarize(root: Path, split: str, official: dict, dictionary: Dictionary) -> None:
    """Print the words of a split, the skipped images and the characters missing in a dictionary."""
    words = mmengine.load(root / f'textrecog_{split}.json')['data_list']
    report = mmengine.load(root / 'annotations' / f'report_{split}.json')
    print(f'{split}: {len(words)} words')
    for name, number in report['found'].items():
        expected = official.get(name)
        differs = '' if expected in (None, number) else ', which differs'
        print(f'  {name}: {number}' + (f' (official: {expected}{differs})' if expected else ''))
    for reason, paths in report['skipped'].items():
        # Name a few; many are the effect of a setting.
        names = f' ({", ".join(paths)})' if len(paths) <= FEW else ''
        print(f'  skipped, {reason}: {len(paths)}{names}')
    characters = Counter(''.join(word['instances'][0]['text'] for word in words))
    lacking = {char: n for char, n in characters.items() if char not in dictionary.dict}
    if lacking:
        print('  not in the dictionary: ' + ', '.join(f'{c!r} ({n})' for c, n in lacking.items()))


def main(argv=None):
    args = parse_args(argv)
    folder = ZOO / args.dataset
    cfg = Config.fromfile(folder / 'textrecog.py')
    cfg.merge_from_dict(args.cfg_options)
    cfg.update(task='textrecog', dataset_name=args.dataset, nproc=args.nproc)
    if args.out:
        cfg.data_root = args.out
    if args.archives:
        for split in SPLITS:
            cfg[f'{split}_preparer'].obtainer.cache_path = args.archives
    print_licence(folder)
    # Unpacking takes minutes: first report all archives that are missing for any split.
    for split in args.splits:
        obtainer = cfg[f'{split}_preparer'].obtainer
        DATA_OBTAINERS.build(dict(obtainer, data_root=cfg.data_root)).find()
    names = [f'textrecog_{split}.json' for split in args.splits]
    with output_files(cfg.data_root, names, 'prepare_dataset') as folder:
        for split in args.splits:
            cfg[f'{split}_preparer'].dumper.data_root = str(folder)
        DatasetPreparer.from_file(cfg).run(args.splits)
    dict_file = BASE / 'dicts' / cfg.dictionary
    print(f'\n{cfg.data_root}, compared with the dictionary {dict_file}')
    for split in args.splits:
        summarize(
            Path(cfg.data_root),
            split,
            cfg.get('official', {}).get(split, {}),
            Dictionary(str(dict_file)),
        )


if __name__ == '__main__':
    main()
