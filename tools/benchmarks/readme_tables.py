"""Write the tables of results in the READMEs from the lines in ``results``.

    python tools/benchmarks/readme_tables.py

A table stands between ``<!-- table: KIND ARGUMENT -->`` and ``<!-- end of table -->``; the kinds
are the functions of TABLES. ``--check`` writes nothing and fails if a table is not that of the
lines. Rows that lack the line of a seed, or whose lines are of other settings than today's, are
left out.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
from mmocr_da import markdown
from mmocr_da.evaluation import rank_scores
from mmocr_da.outputs import whole_file

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tools' / 'benchmarks'))
import adaptation  # noqa: E402  the folder of tools is no package
import detector_adaptation  # noqa: E402
import edit_distance_losses  # noqa: E402
import methods as methods_benchmark  # noqa: E402

RESULTS = ROOT / 'results'
SEEDS = 0, 1, 2
MARKED = re.compile(r'(<!-- table: (\S+) ?(.*?) -->\n\n).*?(\n\n<!-- end of table -->)', re.S)
#: Of the front page: what the domains of a pair are.
DOMAINS = {
    'numbers': ('printed numbers', 'handwritten numbers'),
    'sroie-ic15': ('receipts (SROIE)', 'words in photos (ICDAR 2015)'),
    'sroie+rendered-ic15': ('receipts and rendered words', 'words in photos'),
    'rendered-sroie': ('rendered words', 'receipts'),
    'ic15-sroie': ('words in photos', 'receipts'),
}
#: Recipe of tools/adapt.py.
RECIPE = 'self-training + ASSDA'
LABELS = {
    'last': 'the last checkpoint',
    'source_accuracy': 'accuracy of the source',
    'teacher_agreement': '`teacher_agreement` (of self-training)',
}


def known_of_recognizers(name: str) -> dict[str, dict]:
    """Rows of a pair of recognizers that have the lines of all seeds."""
    return known_runs(adaptation.Benchmark, 'adaptation', name)


def known_runs(benchmark_type: type[adaptation.Benchmark], file: str, name: str) -> dict[str, dict]:
    """Rows of a pair of recognizers that have the lines of all seeds in a file of results."""
    results = adaptation.Results(RESULTS / f'{file}.jsonl')
    pair = adaptation.parse_pair(name, needs_images=False)
    lengths = {line.get('source_iters', 0) for line in results.lines if line['pair'] == pair.name}
    pair = pair._replace(source_iters=max(lengths, default=0))
    benchmark = benchmark_type(Path(), results, SEEDS, 1)
    return benchmark.known([pair], list(benchmark.configs))[pair.name]


def recognizers(name: str) -> str:
    """All rows of a pair of recognizers, but starts and ablations."""
    known = known_of_recognizers(name)
    hidden = {*adaptation.ABLATIONS, *adaptation.STARTS} - {adaptation.START, adaptation.BIN_START}
    return adaptation.table({row: known[row] for row in known if row not in hidden})


def methods(argument: str) -> str:
    """Rows of a pair without the recipe, ``PAIR; ROW; ROW``, beside start, control and bound."""
    name, *wanted = argument.split('; ')
    known = known_runs(methods_benchmark.MethodBenchmark, 'methods', name)
    if unknown := {*wanted} - {*known}:
        raise ValueError(
            f'results/methods.jsonl must have the lines of {sorted(unknown)} with all seeds, got '
            f'those of {", ".join(known)}'
        )
    always = adaptation.START, adaptation.CONTROL, adaptation.BOUND
    return adaptation.table({row: known[row] for row in known if row in (*always, *wanted)})


def starts(name: str) -> str:
    """What the preparation of images and their augmentation do, of a pair of recognizers."""
    known = known_of_recognizers(name)
    return adaptation.table(
        {row: known[row] for row in known if row in (*adaptation.STARTS, adaptation.CONTROL)}
    )


def ablations(name: str) -> str:
    """Self-training, and with one part of it exchanged, of a pair of recognizers."""
    known = known_of_recognizers(name)
    shown = adaptation.CONTROL, 'self-training', *adaptation.ABLATIONS, adaptation.BOUND
    return adaptation.table({row: known[row] for row in shown if row in known})


def detectors(name: str) -> str:
    """All rows of a pair of detectors."""
    results = adaptation.Results(RESULTS / 'detector_adaptation.jsonl', detector_adaptation.Score)
    pair = detector_adaptation.parse_pair(name, needs_images=False)
    benchmark = detector_adaptation.DetectorBenchmark(Path(), results, SEEDS, 1)
    known = benchmark.known([pair], list(detector_adaptation.CONFIGS))
    return detector_adaptation.table(known[pair.name])


def tuning(name: str) -> str:
    """All losses that tune a recognizer on the edit distance, on a set of words.

    Raises:
        ValueError: If a run is there twice, with other settings.
    """
    file = RESULTS / 'edit_distance_losses.jsonl'
    score = edit_distance_losses.Score
    runs: dict[str, dict[int, Any]] = {}
    for line in adaptation.Results(file, score, (name,)).lines:
        if line['domain'] == name:
            row = runs.setdefault(line['row'], {})
            if line['seed'] in row:
                raise ValueError(
                    f'{file} must have one line for each row, seed and set of images, got several '
                    f'of {line["row"]!r}, seed {line["seed"]}, {name!r}: take the old ones out'
                )
            row[line['seed']] = score.read(line)
    known = {
        row: {name: [runs[row][seed] for seed in SEEDS]}
        for row in edit_distance_losses.CONFIGS
        if {*SEEDS} <= {*runs.get(row, ())}
    }
    return edit_distance_losses.table(known, name)


def front(names: str) -> str:
    """The recipe on several pairs.

    Raises:
        ValueError: If a pair lacks a row.
    """
    rows = [
        [
            'labelled source',
            'target without labels',
            'trained as long on the source',
            'adapted',
            'gain, 95 % interval',
            "trained on the target's labels",
        ]
    ]
    for name in names.split():
        known = known_of_recognizers(name)
        wanted = adaptation.CONTROL, RECIPE, adaptation.BOUND
        if missing := {*wanted} - {*known}:
            raise ValueError(
                f'the front page needs the lines of {sorted(missing)} of the pair {name!r} with '
                f'the seeds {list(SEEDS)}, got those of {", ".join(known)}'
            )
        target = [known[row]['target'] for row in wanted]
        control, adapted, bound = (
            adaptation.mean([score.word_accuracy for score in scores]).split(' ')[0]
            for scores in target
        )
        gain = adaptation.gain(target[1], target[0])
        rows.append([*DOMAINS[name], control, f'**{adapted}**', gain, bound])
    return markdown.table(rows)


def validators(names: str) -> str:
    """What scores without labels lose against the best checkpoint, on several pairs.

    ``NAME=WORDS``: a pair, and what the table calls it.
    """
    titles = dict(name.split('=') for name in names.split('; '))
    text = (RESULTS / 'label_free_scores.jsonl').read_text(encoding='utf-8')
    ranks = {}
    for pair in titles:
        runs: dict[str, list] = {}
        for line in sorted(map(json.loads, text.splitlines()), key=lambda line: line['iteration']):
            if line['run'].partition('/')[0] == pair:
                scores = dict(line['scores'], last=line['iteration'])
                runs.setdefault(line['run'], []).append((scores, line['oracle']))
        ranks[pair] = {rank.score: rank for rank in rank_scores([*runs.values()])}
    head = [
        column
        for title in titles.values()
        for column in (f'{title}: lost (most)', 'correlation within, over all')
    ]
    rows = [['score', *head]]
    means = {
        score: sum(found[score].lost for found in ranks.values() if score in found)
        for score in {score for found in ranks.values() for score in found}
    }
    for score in sorted(means, key=lambda score: (round(means[score], 4), score)):
        cells = [LABELS.get(score, f'`{score}`')]
        for found in ranks.values():
            rank = found.get(score)
            cells += (
                [
                    f'{100 * rank.lost:.1f} ({100 * rank.most_lost:.1f})',
                    f'{rank.within:.2f}, {rank.overall:.2f}',
                ]
                if rank
                else ['-', '-']
            )
        rows.append(cells)
    return markdown.table(rows)


TABLES: dict[str, Callable[[str], str]] = dict(
    recognizers=recognizers,
    starts=starts,
    ablations=ablations,
    methods=methods,
    detectors=detectors,
    tuning=tuning,
    front=front,
    validators=validators,
)


def rendered(text: str) -> str:
    """Return a Markdown text with its tables as the lines give them.

    Raises:
        ValueError: If a table is of an unknown kind.
    """

    def render(match: re.Match) -> str:
        begin, kind, argument, end = match.groups()
        if kind not in TABLES:
            kinds = ', '.join(TABLES)
            raise ValueError(f'<!-- table: KIND --> must name one of {kinds}, got {kind}')
        return begin + TABLES[kind](argument) + end

    return MARKED.sub(render, text)


def readmes() -> list[Path]:
    """The files that have tables of results."""
    files = [ROOT / 'README.md', *ROOT.glob('configs/*/README.md'), *ROOT.glob('docs/**/*.md')]
    return [file for file in files if MARKED.search(file.read_text(encoding='utf-8'))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='Fail instead of writing')
    args = parser.parse_args()
    changed = []
    for file in readmes():
        text = file.read_text(encoding='utf-8')
        new = rendered(text)
        if new != text:
            changed.append(str(file.relative_to(ROOT)))
            if not args.check:
                with whole_file(file) as out:
                    out.write_text(new, encoding='utf-8')
    if changed and args.check:
        raise SystemExit(f'not the tables of the lines in results: {", ".join(changed)}')
    print('\n'.join(changed) or 'all tables are those of the lines in results')


if __name__ == '__main__':
    main()
