"""Every method on every recognizer of MMOCR: it trains, reaches what it should, and exports."""

from functools import partial

import pytest
import torch
from helpers import matrix
from helpers.families import FAMILIES, narrow, noise, two_views
from helpers.methods import build, config, make_it_read, train
from mmocr.registry import MODELS as MMOCR_MODELS

from mmocr_da import export
from mmocr_da.engine.inference import random_batch
from mmocr_da.models.decoders import adapter_of
from mmocr_da.models.layers import BatchInstanceNorm

#: Objectives of the features of characters, which do not train the final classifier.
BEFORE_THE_CLASSIFIER = (matrix.LA, matrix.CONFUSION, matrix.ENTROPY)


def groups(model):
    """The weights of each part of a recognizer, and of the classifier that ends its decoder."""
    classifier = {*adapter_of(model.decoder).classifier.parameters()}
    of_parts = {
        name: [p for p in part.parameters() if p not in classifier]
        for name, part in model.named_children()
        if name != 'objectives'
    }
    return {k: v for k, v in of_parts.items() if v} | dict(classifier=[*classifier])


def should_reach(name, model):
    """The parts that the gradient of an objective should arrive at."""
    parts = [*groups(model)]
    if name == matrix.GA:
        maps = ('preprocessor', 'backbone' if model.with_backbone else 'encoder')
        return {part for part in parts if part in maps}
    return {part for part in parts if part != 'classifier' or name not in BEFORE_THE_CLASSIFIER}


def check_reach(model, objectives, losses):
    """Each objective alone gives a gradient to all parts that it should train, and to no other."""
    for objective, own in zip(objectives, (model.objectives[name] for name in model._listed)):
        kind, found = objective['type'].removeprefix('mmocr_da.'), set()
        of_it = [v for k, v in losses.items() if f'{k}_'.startswith(f'loss_{own.name}_')]
        assert of_it
        for part, weights in groups(model).items():
            gradients = torch.autograd.grad(
                sum(value.mean() for value in of_it), weights, retain_graph=True, allow_unused=True
            )
            if any(g is not None and g.any() for g in gradients):
                found.add(part)
        assert found == should_reach(kind, model), (kind, found)


@pytest.mark.parametrize('method, family', [cell for cell in matrix.cells() if cell[0] != 'SeqCLR'])
def test_a_method_on_a_recognizer(method, family):
    cfg = config(method, family)
    if reason := matrix.REFUSED.get((method, family)):
        with pytest.raises(ValueError, match=f'^{matrix.REASONS[reason][0]}'):
            build(cfg)
        return
    model = build(cfg)
    make_it_read(model)
    train(model, [noise(family)] * 2, partial(check_reach, model, cfg.model.objectives))
    # Else DDP would wait for it for ever; a surrogate needs find_unused_parameters.
    without = [k for k, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert [k for k in without if '.surrogate.' not in k] == []

    weights = model.state_dict()
    gates = [name for name, m in model.named_modules() if isinstance(m, BatchInstanceNorm)]
    assert bool(gates) == (matrix.METHODS[method][1] == 'BIN')
    if gates:
        weights[f'{gates[0]}.rho'] = weights[f'{gates[0]}.rho'] * 0
        with pytest.raises(ValueError, match='exported as batch norms only if all their gates'):
            export.make_plain(cfg, weights, model)
        for name in gates:
            weights[f'{name}.rho'] = torch.ones_like(weights[f'{name}.rho'])
        model.load_state_dict(weights)
    plain, weights = export.make_plain(cfg, weights, model)
    stock = MMOCR_MODELS.build(plain.model)
    assert 'mmocr_da' not in type(stock).__module__
    stock.load_state_dict(weights, strict=True)
    assert export.same_predictions(model, stock, random_batch(plain, num=2))


@pytest.mark.parametrize('family', [family for family in FAMILIES if family not in matrix.CTC])
def test_a_batch_without_source_images_gives_ls_ed_nothing(family):
    model = build(config('LS-ED', family))
    batch, found = noise(family, (), targets=2), []
    train(model, [batch] * 2, found.append)
    assert found[0]['loss_lsed'] == 0


@pytest.mark.parametrize('family', FAMILIES)
def test_channels_last_changes_no_number_of_a_recognizer(family):
    method = 'global alignment (GA)'
    cfg, batch = config(method, family), noise(family)
    gradients, losses = [], []
    for channels_last in (False, True):
        cfg.model.channels_last = channels_last
        model = build(cfg)
        train(model, [batch], lambda values: losses.append({**values}))
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    torch.testing.assert_close(*losses, rtol=1e-3, atol=1e-5)
    # torch sums the statistics of a batch norm in another order, with an error of 1e-5.
    assert torch.cosine_similarity(*gradients, dim=0) > 0.98


@pytest.mark.parametrize('family', FAMILIES)
def test_pretraining_of_a_recognizer(family):
    """Its encoder is that of MMOCR's own recognizer."""
    batch = two_views(noise(family, targets=1))
    if family in matrix.ONLY_V:
        with pytest.raises(ValueError, match=f"{matrix.ONLY_V[family]}.*set representation='V'"):
            train(build(config('SeqCLR', family)), [batch])
    representation = 'V' if family in matrix.ONLY_V else 'H'
    model = build(config('SeqCLR', family, representation=representation))
    train(model, [batch] * 2)
    for name in model.encoder_modules:
        assert any(p.grad.any() for p in model.get_submodule(name).parameters()), name
    assert all(p.grad is not None for p in model.parameters())

    stock = MMOCR_MODELS.build(narrow(family).model)
    weights = {
        key: value
        for key, value in model.state_dict().items()
        if key.startswith(tuple(f'{name}.' for name in model.encoder_modules))
    }
    missing, unexpected = stock.load_state_dict(weights, strict=False)
    assert not unexpected
    assert {key.split('.')[0] for key in missing} <= {'decoder'} | (
        {'encoder'} if representation == 'V' else set()
    )
    data = model.eval().data_preprocessor(batch, False)
    stock.eval()
    feature_map = stock.extract_feat(data['inputs'])
    assert torch.equal(feature_map, model.extract_feat(data['inputs']))
    if stock.with_encoder and representation == 'H':
        sequences = (m.encoder(feature_map, data['data_samples']) for m in (model, stock))
        assert torch.equal(*sequences)


def test_the_table_of_the_readme_is_that_of_the_matrix():
    assert tuple(FAMILIES) == matrix.MODELS
    assert matrix.parts()[1].strip() == matrix.table(), 'run: python tests/helpers/matrix.py'
