"""Cost of an adaptation step on B source + B target images, against a supervised one on 2B.

    python tools/benchmarks/step_cost.py configs/assda/small_assda_p2h.py

Both recognizers are the config's, with and without its objectives, on the same 2B images in memory.
The steps alternate within one run, so that whatever else the machine does hits both; the ratio is
that of the medians. A trained recognizer ends its readings, a fresh one reads to the last step:
pass ``--checkpoint`` for the cost within a real run.
"""
import argparse
import statistics
import time

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.runner import load_checkpoint
from mmengine.structures import LabelData
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample
from mmocr.utils import register_all_modules


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config')
    parser.add_argument('--checkpoint', help='Weights to start from')
    parser.add_argument('--half', type=int, default=64, help='B, images per domain')
    parser.add_argument('--size', type=int, nargs=2, default=(16, 64), metavar=('H', 'W'))
    parser.add_argument('--length', type=int, default=5, help='Characters per label')
    parser.add_argument('--steps', type=int, default=30)
    parser.add_argument('--threads', type=int, help='CPU threads')
    parser.add_argument('--stock', action='store_true',
                        help="Compare with MMOCR's own EncoderDecoderRecognizer")
    return parser.parse_args()


def build(cfg: Config, adaptive: bool, args) -> tuple:
    model_cfg = cfg.model.copy()
    if not adaptive:
        model_cfg.objectives = []
        if args.stock:
            for key in ('objectives', 'channels_last', 'hook_point', 'supervised_weight',
                        'norm_statistics', 'of', 'include', 'exclude'):
                model_cfg.pop(key, None)
            model_cfg.type = 'EncoderDecoderRecognizer'
    model = MODELS.build(model_cfg).train()
    if args.checkpoint:
        load_checkpoint(model, args.checkpoint, map_location='cpu')
    if torch.cuda.is_available():
        model.cuda()
    return model, build_optim_wrapper(model, cfg.optim_wrapper)


def make_batch(cfg: Config, args, domains) -> dict:
    channels = cfg.model.backbone.get('in_channels') or cfg.model.backbone.input_channels
    images, samples = [], []
    for domain in domains:
        images.append(torch.randint(0, 256, (channels, *args.size), dtype=torch.uint8))
        text = '0' * args.length if domain == 'source' else ''
        sample = TextRecogDataSample(gt_text=LabelData(item=text))
        sample.set_metainfo(dict(domain=domain, valid_ratio=1.0, img_shape=tuple(args.size)))
        samples.append(sample)
    return dict(inputs=images, data_samples=samples)


def main() -> None:
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    cfg = Config.fromfile(args.config)
    register_all_modules(init_default_scope=True)
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', 1)
    hub.update_info('max_iters', 2)
    torch.manual_seed(0)
    cases = {
        'adaptation': (*build(cfg, True, args), ['source', 'target'] * args.half),
        'supervised': (*build(cfg, False, args), ['source'] * (2 * args.half)),
    }
    times = {name: [] for name in cases}
    for step in range(args.steps + 3):
        for name, (model, optim_wrapper, domains) in cases.items():
            data = make_batch(cfg, args, domains)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            start = time.perf_counter()
            model.train_step(data, optim_wrapper)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if step >= 3:  # warm-up
                times[name].append(time.perf_counter() - start)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else \
        f'CPU, {torch.get_num_threads()} threads'
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f'{device}, torch {torch.__version__}, {args.config}, {args.half} + {args.half} images')
    for name, seconds in medians.items():
        print(f'{name:12s} {1000 * seconds:8.1f} ms / step')
    print(f'ratio        {medians["adaptation"] / medians["supervised"]:8.3f}')


if __name__ == '__main__':
    main()
