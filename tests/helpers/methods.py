"""Methods on the recognizers of ``families.py``: their configs, and steps of training."""

import copy

import torch
from helpers import matrix
from helpers.families import WIDTH, narrow
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from torch import nn

from mmocr_da.models.decoders import adapter_of
from mmocr_da.registry import MODELS

CONSTANT = dict(schedule='constant')
SURROGATE = dict(channels=[4] * 5, hidden_channels=8, out_channels=4, warmup=0)


def objective(name, decoder, **options):
    """Config of an objective that acts from the first step on, of the right width."""
    width = adapter_of(decoder).feature_channels
    defaults = {
        matrix.GA: lambda: dict(CONSTANT, in_channels=WIDTH),
        matrix.LA: lambda: dict(CONSTANT, in_channels=width('context'), threshold=0.0),
        matrix.SYMNET: lambda: CONSTANT,
        matrix.CONFUSION: lambda: dict(CONSTANT, in_channels=width('hidden')),
        matrix.ENTROPY: lambda: CONSTANT,
        matrix.SELF_TRAINING: lambda: {} if 'keep' in options else dict(threshold=0.0),
        matrix.LS_ED: lambda: dict(surrogate=SURROGATE),
        matrix.L2SP: dict,
        # A fresh recognizer has few texts that are nearer to the label than others.
        matrix.RISK: lambda: dict(num_texts=64),
        matrix.COMPLETION: dict,
        matrix.SCHEDULED: dict,
    }
    return dict(type=f'mmocr_da.{name}', **{**defaults[name](), **options})


def decoder_of(cfg):
    return MODELS.build(copy.deepcopy(cfg.model.decoder))


def config(method, family, **options):
    """The config of MMOCR with a method of the matrix."""
    cfg = narrow(family)
    names, option = matrix.METHODS[method]
    if option == 'SeqCLR':
        cfg.model.update(type='mmocr_da.SeqCLR', **options)
        return cfg
    decoder = decoder_of(cfg)
    cfg.model.type = 'mmocr_da.AdaptiveRecognizer'
    cfg.model.objectives = [objective(name, decoder) for name in names]
    if option == 'both':
        cfg.model.objectives[0].surrogate.alternate = False
    elif option == 'per_domain':
        cfg.model.norm_statistics = option
    elif option == 'BIN':
        cfg.model.update(type='mmocr_da.WithBIN', of=cfg.model.type)
    return cfg


def build(cfg):
    """The model in training mode without dropout, from a seed."""
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(cfg.model)).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    return model


def make_it_read(model):
    """Let a recognizer predict characters; from random weights it may predict none."""
    decoder, dictionary = model.decoder, model.decoder.dictionary
    others = [getattr(dictionary, f'{name}_idx') for name in ('start', 'end', 'padding', 'unknown')]
    with torch.no_grad():
        adapter_of(decoder).classifier.bias[[i for i in others if i is not None]] -= 9
    own = {k: v for k, v in model.state_dict().items() if not k.startswith('objectives.')}
    model.load_state_dict(own, strict=False)  # a teacher and C^t start as copies


def train(model, batches, look=None, forward=None, **options):
    """Make a step with each batch; ``look`` sees the last losses before their backward pass.

    Two steps of LS-ED train the surrogate and then the recognizer. The last gradients stay.
    """
    hub = MessageHub.get_current_instance()
    hub.update_info('max_iters', len(batches))
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01), **options)
    for i, batch in enumerate(batches):
        hub.update_info('iter', i)
        data = model.data_preprocessor(copy.deepcopy(batch), True)
        losses = (forward or model)(**data, mode='loss')
        if look and i == len(batches) - 1:
            look(losses)
        total, log = model.parse_losses(losses)
        assert all(torch.as_tensor(value).isfinite().all() for value in log.values()), log
        optimizer.zero_grad()
        optimizer.backward(total)
        optimizer.step()
        if hasattr(model, 'after_step'):
            model.after_step()
    assert all(p.isfinite().all() for p in model.parameters())
