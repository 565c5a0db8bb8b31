"""Writes the config of an adaptation: the recipes of this package on top of the user's config."""

import copy
import os
import os.path as osp
import shlex
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.device import get_device
from mmocr.registry import DATASETS

from mmocr_da.config_names import find_config

from .alignment import find_alignable
from .config_text import call, indented, literal
from .image_sources import CONFIG, NONE, RENDERED, config_sources, source_dataset, target_dataset
from .pipelines import Pipelines, read_pipelines
from .recognizers import Recognizer, uses_ctc
from .request import LAST, Request
from .validation import save_best, validation

RECIPES = 'mmocr_da::_base_'
#: Optimizers whose steps do not grow with the gradient, and the highest learning rate that suits a
#: trained recognizer.
ADAPTIVE_LR = dict.fromkeys(('Adam', 'AdamW', 'NAdam', 'RAdam', 'Adamax', 'RMSprop', 'Lamb'), 3e-4)
#: What is left of the learning rate of all other optimizers.
REDUCTION = 0.1
#: Part of the iterations after which the learning rate falls, and in which the weight of the
#: target's labels rises.
FALL, RISE = 0.7, 0.1
#: Images of a batch on a GPU and without one.
BATCH_SIZES = dict(cuda=256, cpu=96)
#: Characters of the longest word that is rendered.
MAX_LENGTH = 25
#: Iterations from one checkpoint, and one validation, to the next.
EVERY = 'max(1, max_iters // 10)'


#: Hooks of the user's config that do not fit an adaptation, by a part of their type, and why.
HOOKS_LEFT_OUT = dict(
    EarlyStopping='as the target has no labels to validate with',
    EMAHook='as its average is slower than the training is long, and the teacher is one',
)
#: Names in the config that is written, which are replaced by their values before MMEngine applies
#: further settings; and what to give instead.
HELPERS = dict(
    max_iters='give --max-iters',
    batch_size='give --batch-size',
    fall='set param_scheduler.0.milestones',
) | dict.fromkeys(
    ('load', 'prepare', 'adapt_augmentation', 'adapt_views'),
    'edit the config after --dry-run and train it with tools/train.py',
)


class Composition(NamedTuple):
    """A config of an adaptation."""

    text: str
    #: What was chosen for the user, a line each.
    choices: list[str]


def compose(
    request: Request, recognizer: Recognizer, batch_size: int, bright_text: float | None = None
) -> Composition:
    """Write a config that inherits from the user's and adapts the recognizer to the target.

    Its recipe is self-training, and the alignments of ASSDA as far as the recognizer has what they
    compare.

    Args:
        batch_size: Images of a batch, both domains together.
        bright_text: Share of the target's images whose text is brighter than its background; None
            if it is not known.

    Raises:
        ValueError: If the config, the source or the target cannot be used.
    """
    cfg = recognizer.cfg
    for key in request.cfg_options:
        if advice := HELPERS.get(key.partition('.')[0]):
            raise ValueError(f'the setting {key} would have no effect: {advice}')
    pipelines = read_pipelines(cfg)
    bases = _Bases(recognizer)
    share = 'all' if request.source == (NONE,) else 'half'
    choices = [f'batch size: {batch_size}, {share} of the target']
    bases.add('self_training.py')
    aligned = _alignments(request, recognizer, pipelines, bases, choices)
    sections = [
        _model(request, recognizer, bases, aligned),
        _optimizer(request, recognizer, bases, aligned, choices),
        _images(pipelines, bases, choices, bright_text),
        _data(request, cfg, bases),
        _runtime(request, cfg, bases, choices),
    ]
    methods = 'self-training and alignment' if aligned else 'self-training'
    head = f'''"""Adapts {recognizer.name} to images without labels, by {methods}.

Written by tools/adapt.py. It can be kept, edited and trained by itself:

    python tools/train.py {output_name(recognizer)}.py{_options(request)}
"""

_base_ = {_listed(bases.files, '')}
# Relative to this file; where the training writes to.
work_dir = '{{{{ fileDirname }}}}/training'
load_from = {_quoted(_place(request.checkpoint))}
randomness = dict(seed={request.seed})

max_iters = {request.max_iters}
batch_size = {batch_size}  # images, {share} of the target
'''
    return Composition('\n'.join([head, *sections]), choices)


def _options(request: Request) -> str:
    """The user's further settings, for the command line."""
    pairs = [shlex.quote(f'{key}={value}') for key, value in request.cfg_options.items()]
    return ' \\\\\n        --cfg-options ' + ' '.join(pairs) if pairs else ''


def output_name(recognizer: Recognizer) -> str:
    """Name of the config that is written, without ``.py``."""
    return f'{recognizer.name}_adapted'


def has_training(cfg: Config) -> bool:
    """Whether a config says how to train its model; an exported one does not.

    Raises:
        ValueError: If it says a part of it.
    """
    parts = 'train_dataloader', 'optim_wrapper', 'train_cfg', 'param_scheduler'
    found = [key for key in parts if key in cfg]
    if found and not cfg.get('train_dataloader'):
        raise ValueError(
            f'the config must have train_dataloader, as it has {" and ".join(found)}, got none; '
            'inherit from the config that the recognizer was trained with, or leave all of '
            f'{", ".join(parts)} out'
        )
    return bool(found)


def default_batch_size() -> int:
    """Images of a batch that suit the device."""
    return BATCH_SIZES['cpu' if get_device() == 'cpu' else 'cuda']


class _Bases:
    """The configs that the written one inherits from.

    MMEngine merges no two bases with a common key. So a recipe whose keys the user's config has is
    no base, and its values are written out.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        self.known = set(recognizer.cfg)
        self.files = [recognizer.base]
        self._values: dict[str, Any] = {}
        self._recipes: dict[str, Any] = {}
        if not has_training(recognizer.cfg):
            self.add('exported.py')

    def add(self, recipe: str) -> None:
        """Inherit from a recipe."""
        values = dict(Config.fromfile(find_config(f'{RECIPES}/{recipe}')[0]))
        self._recipes.update(values)
        if self.known.isdisjoint(values):
            self.files.append(f'{RECIPES}/{recipe}')
            self.known.update(values)
        else:
            self._values.update(values)

    def __getitem__(self, key: str) -> str:
        """An expression for a value of a recipe."""
        return literal(self._values[key]) if key in self._values else f'_base_.{key}'

    def changed(self, key: str, **changes: str) -> str:
        """An expression for a dict of a recipe with some of its values changed."""
        items = dict(changes)
        if key in self._values:
            values = {name: literal(value) for name, value in self._values[key].items()}
            return call({**values, **items})
        return call(items, f'_base_.{key}')

    def replacing(self, key: str, place: str, **changes: str) -> str:
        """As :meth:`changed`, for a dict that replaces ``place`` of the config if it is there."""
        if place in self.known:
            return self.changed(key, **changes)
        # MMEngine leaves a ``_delete_`` in a dict that replaces nothing.
        values = {name: literal(value) for name, value in self._recipes[key].items()}
        return call({name: values[name] for name in values if name != '_delete_'} | changes)


def _alignments(
    request: Request,
    recognizer: Recognizer,
    pipelines: Pipelines,
    bases: _Bases,
    choices: list[str],
) -> list[str]:
    """Expressions for the objectives that compare the domains."""
    if request.source == (NONE,):
        return []
    found = find_alignable(recognizer, pipelines)
    choices += found.remarks
    out = []
    if found.feature_map:
        level = {} if found.level == 'backbone' else dict(level=repr(found.level))
        out += [bases.changed('global_alignment', in_channels=repr(found.feature_map), **level)]
    if found.characters:
        out += [bases.changed('local_alignment', in_channels=repr(found.characters))]
    return out


def _model(request: Request, recognizer: Recognizer, bases: _Bases, aligned: Sequence[str]) -> str:
    model = recognizer.cfg.model
    ramp = f'max(1, max_iters * {int(RISE * 100)} // 100)'
    lines = ['model = dict(', f"    {recognizer.type_key}='mmocr_da.AdaptiveRecognizer',"]
    if uses_ctc(model):
        lines += [
            '    # A text that is longer than the frames of an image has no alignment.',
            '    decoder=dict(module_loss=dict(zero_infinity=True)),',
        ]
    if request.source == (NONE,):
        lines += ['    supervised_weight=0,  # there is no source']
    elif 'supervised_weight' in model:
        lines += ['    supervised_weight=1,']
    lines += [
        '    # What the teacher is surest of becomes a label, for a rising share of the images;',
        '    # their weight rises during ramp iterations.',
        '    objectives=[',
        f'        {indented(bases.changed("self_training", ramp=ramp), 2)},',
    ]
    if aligned:
        lines += [
            '        # Feature maps, and features of characters, that are alike in both domains.'
        ]
    lines += [f'        {indented(expression, 2)},' for expression in aligned]
    if request.source == (NONE,):
        lines += [
            '        # Keeps the weights near those of the checkpoint.',
            "        dict(type='mmocr_da.L2SP'),",
        ]
    lines += ['    ],', ')']
    return '\n'.join(lines) + '\n'


def _optimizer(
    request: Request,
    recognizer: Recognizer,
    bases: _Bases,
    aligned: Sequence[str],
    choices: list[str],
) -> str:
    wrapper = recognizer.cfg.get('optim_wrapper') or {}
    if not has_training(recognizer.cfg):
        wrapper = Config.fromfile(find_config(f'{RECIPES}/exported.py')[0]).optim_wrapper
    optimizer = wrapper.get('optimizer') or {}
    if not isinstance(optimizer.get('lr'), (int, float)) or 'type' not in optimizer:
        raise ValueError(
            'to train on, the config needs optim_wrapper=dict(optimizer=dict(type=..., lr=...)), '
            f'got optim_wrapper={wrapper}; add it'
        )
    kind, rate = str(optimizer['type']), float(optimizer['lr'])
    if kind in ADAPTIVE_LR:
        chosen = min(rate, ADAPTIVE_LR[kind])
        why = f'at most {ADAPTIVE_LR[kind]:g} for a trained recognizer'
    else:
        chosen, why = rate * REDUCTION, 'a tenth, as the recognizer is trained'
    decay = ''
    if request.source == (NONE,) and optimizer.get('weight_decay'):
        decay = ', weight_decay=0'  # L2SP pulls the weights to the start, this one to 0
    choices.append(f'learning rate: {chosen:g} of {kind} ({why}; the config has {rate:g})')
    settings = dict(optimizer=f'dict(lr={chosen:g}{decay})')
    if aligned:
        settings['paramwise_cfg'] = bases['fast_adversaries']
    return f"""# {kind} of the config with its rate of {rate:g}: {why}.
optim_wrapper = {call(settings)}
fall = max(1, max_iters * {int(FALL * 100)} // 100)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[fall], gamma=0.1)]
"""


def _images(
    pipelines: Pipelines, bases: _Bases, choices: list[str], bright_text: float | None
) -> str:
    weak, why = pipelines.prepare_as_tested, 'as in testing'
    if weak is None:
        weak, why = 'prepare', 'as in training, since widths differ in testing'
    dropped = ''
    if pipelines.left_out:
        names = ', '.join(dict.fromkeys(pipelines.left_out))
        dropped = f'# Without the augmentation of the config: {names}.\n'
        choices.append(f'augmentation of the config: replaced by TextAugmentation ({names})')
    choices.append(f'the teacher sees images {why}')
    if bright_text is not None:
        choices.append(
            f'text of {bright_text:.0%} of the target images is brighter than its background: '
            'augmented images are like that'
        )
    augmentation = bases.changed('text_augmentation', bright_text=repr(bright_text))
    return f"""{dropped}load = {pipelines.load}
prepare = {pipelines.prepare}
# The teacher sees the weak view ({why}), the student the strong one.
# bright_text: share of the target's images whose text is brighter than its background.
adapt_augmentation = {augmentation}
adapt_views = dict(
    type='mmocr_da.WeakStrongViews',
    weak={weak},
    strong=[adapt_augmentation, *prepare],
)
"""


def _data(request: Request, cfg: Config, bases: _Bases) -> str:
    workers = min(4, max(1, (os.cpu_count() or 1) // 2))
    ratio, source = '', ['source=None,']
    if request.source == (NONE,):
        ratio = ', ratio=(0, 1)'
    else:
        source = [
            f'source={indented(_source(request, cfg, bases), 2)},',
            'pipeline=[*load, adapt_augmentation, *prepare],',
        ]
        if request.source != (RENDERED,):
            source.append('skip_unusable=True,  # labels that the recognizer cannot learn')
    options = '\n        '.join(source)
    own = cfg.get('train_dataloader') or {}
    batches = 'batch_sampler=None,\n    ' if own.get('batch_sampler') else ''
    sampler = f"{_delete('sampler' in own)}type='mmocr_da.TwoDomainSampler'"
    return f"""train_dataloader = dict(
    batch_size=batch_size,
    num_workers={workers},
    persistent_workers=True,
    {batches}sampler=dict({sampler}, batch_size=batch_size{ratio}),
    dataset=dict(
        {_delete('dataset' in own)}type='mmocr_da.TwoDomainDataset',
        {options}
        target={indented(literal(target_dataset(request.target)), 2)},
        target_pipeline=[*load, adapt_views],
    ),
)
"""


def _source(request: Request, cfg: Config, bases: _Bases) -> str:
    """An expression for the labelled datasets."""
    datasets: list[dict[str, Any]] = []
    parts: list[str] = []
    for name in request.source:
        if name == CONFIG:
            found, expression = config_sources(cfg)
            datasets += found
            parts += [f'*{expression}']
        elif name != RENDERED:
            datasets += [source_dataset(name)]
            parts += [literal(datasets[-1])]
    if request.renders:
        # Beside other images there are as many: half of the source.
        count = sum(len(DATASETS.build(copy.deepcopy(dataset))) for dataset in datasets)
        parts += [_rendered(request, cfg, bases, count)]
    if len(parts) == 1:
        return parts[0].removeprefix('*')
    lines = ''.join(f'{part},\n' for part in parts)
    return f'[\n{textwrap.indent(lines, "    ")}]'


def _rendered(request: Request, cfg: Config, bases: _Bases, count: int) -> str:
    bases.add('rendered_words.py')
    options: dict[str, Any] = {}
    if request.lexicon:
        options['lexicon'] = osp.abspath(request.lexicon)
    if request.fonts:
        options['fonts'] = osp.abspath(request.fonts)
    if count:
        options['num_images'] = count
    longest = cfg.model.decoder.get('max_seq_len', MAX_LENGTH + 2) - 2  # without start and end
    if longest < MAX_LENGTH:
        options['max_length'] = longest
    return bases.changed(
        'rendered_words',
        dict_file='_base_.model.decoder.dictionary.dict_file',
        **{key: repr(value) for key, value in options.items()},
    )


def _runtime(request: Request, cfg: Config, bases: _Bases, choices: list[str]) -> str:
    loop = dict(max_iters='max_iters')
    if request.keep != LAST:
        loop['val_interval'] = EVERY
    lines = [
        f'train_cfg = {bases.replacing("iteration_loop", "train_cfg", **loop)}',
        *validation(request, cfg),
        'default_hooks = dict(',
        "    logger=dict(type='LoggerHook', interval=min(20, max_iters), "
        'log_metric_by_epoch=False),',
        '    checkpoint=dict(',
        *['        _delete_=True,'] * ('checkpoint' in (cfg.get('default_hooks') or {})),
        "        type='CheckpointHook',",
        '        by_epoch=False,',
        f'        interval={EVERY},',
        '        max_keep_ckpts=2,',
        *save_best(request),
        '    ),',
        "    health=dict(type='mmocr_da.HealthHook'),  # reports ten times whether all is well",
        ')',
        'log_processor = dict('
        f"{_delete('log_processor' in cfg)}type='LogProcessor', by_epoch=False)",
    ]
    if cfg.get('visualizer'):
        lines += [f'visualizer = {bases["iteration_curves"]}']
    if (cfg.get('auto_scale_lr') or {}).get('enable'):
        lines += ['auto_scale_lr = dict(enable=False)  # the rate above is that of these batches']
        choices.append(
            'auto_scale_lr of the config: off, the rate is chosen for a trained recognizer'
        )
    hooks = _hooks(request, cfg, choices)
    if hooks:
        lines += [f'custom_hooks = [{", ".join(hooks)}]']
    return '\n'.join(lines) + '\n'


def _hooks(request: Request, cfg: Config, choices: list[str]) -> list[str]:
    """Items of ``custom_hooks``, if they are not those of the config."""
    own, hooks = cfg.get('custom_hooks') or (), []
    left_out = {
        name: why
        for name, why in HOOKS_LEFT_OUT.items()
        if any(name in str(hook.get('type')) for hook in own)
    }
    if left_out:
        kept = ' or '.join(f'{name!r} in str(hook.type)' for name in left_out)
        hooks = [f'*(hook for hook in _base_.custom_hooks if not ({kept}))']
        choices += [f'{name} of the config: left out, {why}' for name, why in left_out.items()]
    added = []
    if request.source == (NONE,) and not any('AdaBNHook' in str(hook.get('type')) for hook in own):
        added.append("dict(type='mmocr_da.AdaBNHook')")
    if request.keep != LAST:
        added.append("dict(type='mmocr_da.LabelFreeHook')")
    if added:
        hooks = hooks or ['*_base_.custom_hooks'] * bool(own)
    return hooks + added


def _delete(known: bool) -> str:
    """Text of the key by which a dict replaces one of the config, if there is one."""
    return '_delete_=True, ' if known else ''


def _listed(items: Sequence[str], indent: str) -> str:
    return '[\n' + ''.join(f'{indent}    {_quoted(item)},\n' for item in items) + f'{indent}]'


def _quoted(text: str) -> str:
    return repr(text)


def _place(checkpoint: str) -> str:
    return checkpoint if '://' in checkpoint else osp.abspath(checkpoint)
