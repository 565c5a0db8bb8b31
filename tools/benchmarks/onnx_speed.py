"""Measure the time of predictions by an ONNX file, relative to the recognizer in MMOCR.

    python tools/benchmarks/onnx_speed.py

It prints a table with a row per recognizer of MMOCR, at its size and with random weights, on one
thread of a CPU: the time of MMOCR's prediction, from images of 8 bits to probabilities; and
relative to it that with the decoding of ``FastDecodingHook``, and that of the file. No text ends
before the last step. They alternate within one run, and CPU time is measured, so that other load
of the machine affects all of them alike; times are medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import onnxruntime
import torch
from decoding_speed import RECOGNIZERS as STEPWISE
from decoding_speed import build
from mmengine.hub import get_config
from mmocr.structures import TextRecogDataSample
from mmocr.utils import register_all_modules

from mmocr_da.markdown import table
from mmocr_da.models.decoders import adapter_of, decode_fast
from mmocr_da.onnx_export.export import describe, trace

#: By name, MMOCR's config and the size of its images.
RECOGNIZERS = {
    'CRNN': ('crnn/crnn_mini-vgg_5e_mj', (32, 128)),
    'SVTR, tiny': ('svtr/svtr-tiny_20e_st_mj', (64, 256)),
    **STEPWISE,
    'ABINet, vision': ('abinet/abinet-vision_20e_st-an_mj', (32, 128)),
}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--repeats', type=int, default=5, help='Passes of each kind')
    parser.add_argument('--only', nargs='+', choices=list(RECOGNIZERS), help='What to measure')
    return parser.parse_args()


def passes(name: str, batch_size: int) -> dict[str, Callable[[], object]]:
    """Return the passes to be measured, by name."""
    config, (height, width) = RECOGNIZERS[name]
    model = build(config).cpu().eval()
    decoder = model.decoder
    if decoder.dictionary.end_idx is not None:
        adapter_of(decoder).classifier.bias.data[decoder.dictionary.end_idx] = -1e4
    metadata, steps = describe(model, get_config(f'mmocr::textrecog/{config}.py'))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    data = trace(model, steps, metadata)
    session = onnxruntime.InferenceSession(data, options, providers=['CPUExecutionProvider'])
    channels = 1 if metadata['image']['color'] == 'gray' else 3
    images = torch.randint(0, 256, (batch_size, height, width, channels), dtype=torch.uint8)
    inputs = dict(images=images.numpy(), valid_ratio=torch.ones(batch_size).double().numpy())
    inputs = {x.name: inputs[x.name] for x in session.get_inputs()}
    info = dict(valid_ratio=1.0, img_shape=(height, width))
    samples = [TextRecogDataSample(metainfo=info) for _ in range(batch_size)]

    def mmocr() -> object:
        batch = dict(inputs=list(images.permute(0, 3, 1, 2)), data_samples=samples)
        return model(**model.data_preprocessor(batch, False), mode='tensor')

    def fast() -> object:
        decode_fast(model)
        try:
            return mmocr()
        finally:
            decoder.__dict__.pop('forward_test', None)

    return dict(mmocr=mmocr, fast=fast, onnx=lambda: session.run(None, inputs))


def time_of(call: Callable[[], object]) -> float:
    """Return the seconds of CPU time that a call takes."""
    start = time.process_time()
    call()
    return time.process_time() - start


@torch.no_grad()
def main() -> None:
    args = parse_args()
    torch.set_num_threads(1)
    register_all_modules(init_default_scope=True)
    rows = [['recognizer', 'MMOCR', 'with FastDecodingHook', 'ONNX']]
    for name in args.only or RECOGNIZERS:
        torch.manual_seed(0)
        calls = passes(name, args.batch_size)
        times: dict[str, list[float]] = {kind: [] for kind in calls}
        for repeat in range(args.repeats + 1):
            for kind, call in calls.items():
                seconds = time_of(call)
                if repeat:  # the first one prepares
                    times[kind].append(seconds)
        mmocr, *others = (statistics.median(seconds) for seconds in times.values())
        rows.append([name, f'{1000 * mmocr:.1f} ms', *(f'{x / mmocr:.2f}' for x in others)])
    versions = f'torch {torch.__version__}, onnxruntime {onnxruntime.__version__}'
    print(f'CPU, one thread, {versions}, batches of {args.batch_size}')
    print(table(rows))


if __name__ == '__main__':
    main()
