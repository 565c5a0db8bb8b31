"""Measure the time of greedy decoding, relative to a pass that is fed the labels.

    python tools/benchmarks/decoding_speed.py

It prints a table with a row per decoder of MMOCR, at the size of its config and without its
backbone: the time of the decoder's own pass with labels, as in training but without gradients; and
relative to it MMOCR's loop of testing and this package's (``FastDecodingHook``), to the last step,
and for words of at most ``--length`` characters, with which this package's loop ends. The passes
alternate within one run, so that other load of the machine affects all of them; times are medians.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample
from mmocr.utils import register_all_modules
from step_cost import device_name

from mmocr_da.markdown import table
from mmocr_da.models.decoders import adapter_of
from mmocr_da.models.decoders.adapters.tokens import samples_of

#: By name, MMOCR's config and the size of its images.
RECOGNIZERS = {
    'ASTER': ('aster/aster_resnet45_6e_st_mj', (64, 256)),
    'SAR, parallel': ('sar/sar_resnet31_parallel-decoder_5e_st-sub_mj-sub_sa_real', (48, 160)),
    'SAR, sequential': ('sar/sar_resnet31_sequential-decoder_5e_st-sub_mj-sub_sa_real', (48, 160)),
    'RobustScanner': ('robust_scanner/robustscanner_resnet31_5e_st-sub_mj-sub_sa_real', (48, 160)),
    'NRTR': ('nrtr/nrtr_resnet31-1by8-1by4_6e_st_mj', (32, 160)),
    'SATRN': ('satrn/satrn_shallow_5e_st_mj', (32, 100)),
    'SATRN, small': ('satrn/satrn_shallow-small_5e_st_mj', (32, 100)),
    'MASTER': ('master/master_resnet31_12e_st_mj_sa', (48, 160)),
}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--length', type=int, default=8, help='Characters of the longest word')
    parser.add_argument('--repeats', type=int, default=3, help='Passes of each kind')
    parser.add_argument('--threads', type=int, help='CPU threads')
    parser.add_argument('--only', nargs='+', choices=list(RECOGNIZERS), help='Decoders to measure')
    return parser.parse_args()


def build(name: str) -> torch.nn.Module:
    """Build the recognizer of one of MMOCR's configs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'config.py')
        path.write_text(f"_base_ = 'mmocr::textrecog/{name}.py'\n")
        return MODELS.build(Config.fromfile(path).model).to(get_device())


def passes(name: str, batch_size: int, length: int) -> dict[str, Callable[[], object]]:
    """Return the passes to be measured, by name, with everything before the decoder done."""
    config, size = RECOGNIZERS[name]
    model = build(config).eval()
    decoder, adapter = model.decoder, adapter_of(model.decoder)
    device = get_device()
    samples = [TextRecogDataSample(metainfo=dict(valid_ratio=1.0)) for _ in range(batch_size)]
    feature_map = model.extract_feat(torch.randn(batch_size, 3, *size, device=device))
    sequence = model.encoder(feature_map, samples) if model.with_encoder else None
    characters = decoder.dictionary.end_idx  # the classes before it are characters
    tokens = torch.randint(characters, (batch_size, decoder.max_seq_len), device=device)
    labelled = samples_of(tokens, samples)
    # No text ends by itself, so that all loops take the number of steps that they are to take.
    special = [decoder.dictionary.end_idx, decoder.dictionary.padding_idx]
    adapter.classifier.bias.data[special] = -1e4

    def forced() -> object:
        decoder.train()  # RobustScanner needs it
        return decoder.forward_train(feature_map, sequence, labelled)

    def mmocr() -> object:
        return decoder.eval().forward_test(feature_map, sequence, samples)

    def ours(most: int | None = None) -> object:
        return adapter.run(feature_map, sequence, samples, most=most)[1].softmax(-1)

    return dict(forced=forced, mmocr=mmocr, ours=ours, words=lambda: ours(length + 1))


def time_of(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


@torch.no_grad()
def main() -> None:
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    register_all_modules(init_default_scope=True)
    rows = [['decoder', 'labels', "MMOCR's loop", 'this loop', f'{args.length} characters']]
    for name in args.only or RECOGNIZERS:
        torch.manual_seed(0)
        calls = passes(name, args.batch_size, args.length)
        times: dict[str, list[float]] = {kind: [] for kind in calls}
        for _ in range(args.repeats):
            for kind, call in calls.items():
                times[kind].append(time_of(call))
        forced, *others = (statistics.median(seconds) for seconds in times.values())
        rows.append([name, f'{1000 * forced:.0f} ms', *(f'{x / forced:.1f}' for x in others)])
    print(f'{device_name()}, torch {torch.__version__}, {args.batch_size} images')
    print(table(rows))


if __name__ == '__main__':
    main()
