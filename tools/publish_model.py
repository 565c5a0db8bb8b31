"""Publish a recognizer under a name, with what it reaches on test images.

    python tools/publish_model.py NAME CONFIG CHECKPOINT --training-data "printed numbers"

NAME.py, NAME.pth and the dictionary in configs/zoo are what tools/export.py makes, with weights of
16 bits; NAME.jsonl is the log of --log, a scalars.json. What is published is tested on the test
images of both domains of the default data, and results/published.jsonl gets its lines.
metafile.yml, in which OpenMMLab's tools look a name up, is written again, with the results of all
models.
``--refresh`` writes it alone.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import torch
import yaml

from mmocr_da.config_names import find_config
from mmocr_da.engine.checkpoints import check_checkpoint
from mmocr_da.engine.launch import load_config
from mmocr_da.export import export
from mmocr_da.outputs import whole_file

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tools' / 'benchmarks'))
import adaptation  # noqa: E402  the folder of tools is no package
from adaptation import quickstart  # noqa: E402

WRITER = 'tools/publish_model.py'
ZOO, METAFILE = ROOT / 'configs' / 'zoo', 'metafile.yml'
RESULTS = ROOT / 'results' / 'published.jsonl'
DATA = quickstart.DATA
COLLECTION = dict(
    Name='mmocr_da',
    Metadata={'Training Techniques': ['Domain adaptation']},
    README='configs/zoo/README.md',
)
#: Names of the test sets.
DATASETS = dict(source='printed numbers', target='handwritten numbers')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('name', nargs='?', help='What TextRecInferencer calls it')
    parser.add_argument('config', nargs='?', help='Its config, a file or a name')
    parser.add_argument('checkpoint', nargs='?', help='Its checkpoint')
    parser.add_argument('--training-data', help='What it has learned from, in words')
    parser.add_argument('--log', type=Path, help='scalars.json of the training')
    parser.add_argument('--out-dir', type=Path, default=ZOO, help='Default: configs/zoo')
    parser.add_argument('--refresh', action='store_true', help='Only write metafile.yml again')
    args = parser.parse_args()
    if args.refresh == bool(args.checkpoint and args.training_data):
        parser.error('give NAME, CONFIG, CHECKPOINT and --training-data, or --refresh alone')
    return args


def read_lines() -> list[dict[str, Any]]:
    """The lines of all tests of published models."""
    text = RESULTS.read_text(encoding='utf-8') if RESULTS.exists() else ''
    return [json.loads(line) for line in text.splitlines()]


def test(name: str, config: Path, weights: Path) -> list[dict[str, Any]]:
    """Test a plain recognizer; return a line for each domain."""
    quickstart.run('tools/dataset_converters/printed_to_handwritten.py', '--out-dir', DATA)
    with tempfile.TemporaryDirectory() as folder:
        options = '--work-dir', folder, '--save-preds'
        quickstart.run('tools/test.py', config, weights, *options)
        file = Path(folder) / f'{weights.name}_predictions.pkl'
        scores = {domain: adaptation.score(file, f'{DATA}/{domain}') for domain in DATASETS}
    return [dict(model=name, domain=domain, **found.written()) for domain, found in scores.items()]


def read_models(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the models of a metafile by their names."""
    file = folder / METAFILE
    models = yaml.safe_load(file.read_text(encoding='utf-8'))['Models'] if file.exists() else []
    return {model['Name']: model for model in models}


def metafile(models: dict[str, dict[str, Any]]) -> str:
    """Lay out the metafile of models, each with its results.

    Raises:
        ValueError: If a model has no lines.
    """
    lines = {(line['model'], line['domain']): line for line in read_lines()}
    for name, model in models.items():
        if missing := [domain for domain in DATASETS if (name, domain) not in lines]:
            raise ValueError(
                f'{RESULTS} must have a line of {name!r} for each domain, got none for {missing}; '
                'publish it again'
            )
        model['Results'] = [
            dict(
                Task='Text Recognition',
                Dataset=dataset,
                Metrics=dict(
                    word_acc=lines[name, domain]['word_accuracy'], cer=lines[name, domain]['cer']
                ),
            )
            for domain, dataset in DATASETS.items()
        ]
    content = dict(Collections=[COLLECTION], Models=[models[name] for name in sorted(models)])
    return f'# Written by {WRITER} from the lines of results/published.jsonl.\n' + yaml.safe_dump(
        content, sort_keys=False, allow_unicode=True
    )


def halve(checkpoint: Path, out: Path) -> int:
    """Write a checkpoint with weights of 16 bits and without a config; return their number."""
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    halved = {
        key: value.half() if value.is_floating_point() else value.clone()
        for key, value in weights.items()
    }
    torch.save(dict(meta={}, state_dict=halved), out)
    return sum(value.numel() for value in weights.values())


def publish(args: argparse.Namespace) -> None:
    """Write the files of a model and its lines."""
    check_checkpoint(args.checkpoint, 'checkpoint')
    place = f'configs/{args.out_dir.name}'
    entry: dict[str, Any] = {
        'Name': args.name,
        'In Collection': COLLECTION['Name'],
        'Config': f'{place}/{args.name}.py',
        'Weights': f'{place}/{args.name}.pth',
        'Metadata': {'Training Data': args.training_data},
    }
    with tempfile.TemporaryDirectory() as name:
        files = export(load_config(args.config), args.checkpoint, name, args.name)
        plain, weights = map(Path, files)
        entry['Metadata']['Parameters'] = halve(weights, weights)
        if args.log:
            shutil.copy(args.log, plain.with_suffix('.jsonl'))
            entry['Metadata']['Training Log'] = f'{place}/{args.name}.jsonl'
        lines = [line for line in read_lines() if line['model'] != args.name]
        lines += test(args.name, plain, weights)
        # The folder is one of the repository, where git knows what was there before.
        args.out_dir.mkdir(exist_ok=True)
        for file in plain.parent.iterdir():
            if not file.name.startswith('.'):
                shutil.copy(file, args.out_dir / file.name)
    with whole_file(RESULTS) as file:
        file.write_text(''.join(f'{json.dumps(line)}\n' for line in lines), encoding='utf-8')
    write_metafile(args.out_dir, metafile({**read_models(args.out_dir), args.name: entry}))


def write_metafile(folder: Path, text: str) -> None:
    """Write the metafile of a folder."""
    with whole_file(folder / METAFILE) as file:
        file.write_text(text, encoding='utf-8')
    print(folder / METAFILE)


def main() -> None:
    args = parse_args()
    args.out_dir = args.out_dir.absolute()
    if not args.refresh:
        args.config = os.path.abspath(find_config(args.config)[0])
        args.checkpoint = os.path.abspath(args.checkpoint)
        args.log = args.log and args.log.absolute()
    os.chdir(ROOT)
    if args.refresh:
        write_metafile(args.out_dir, metafile(read_models(args.out_dir)))
    else:
        publish(args)


if __name__ == '__main__':
    main()
