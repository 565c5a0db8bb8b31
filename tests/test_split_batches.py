"""A batch in parts, over two processes or two accumulated steps, trains as the whole batch does."""

import copy

import pytest
import torch
from helpers import matrix
from helpers.detectors import adaptive, scenes
from helpers.draws import independent_of_the_batch
from helpers.families import noise, two_views
from helpers.methods import build, config, make_it_read, train
from helpers.processes import run_ranks
from mmengine.optim import OptimWrapper
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from mmocr_da.models.layers import DomainNorm

#: One with frames and one with a step per character; those are the cheapest.
FAMILIES = ('CRNN', 'SATRN')
CELLS = [
    (method, family)
    for method in matrix.METHODS
    for family in FAMILIES
    if (method, family) not in matrix.REFUSED
]
OF_DETECTORS = {
    'alignment': dict(type='mmocr_da.ImageAlignment', in_channels=16, weight=1.0),
    # An untrained teacher is hardly sure of anything.
    'map self-training': dict(type='mmocr_da.DetectorMapSelfTraining', threshold=0.501),
}
TEXTS = ('12', 'ab1', '7', 'zz9y')  # labels of different lengths on the two ranks
#: Images of each rank; each has as many of a domain, as the samplers give them.
RANKS = ([0, 1, 4, 5], [2, 3, 6, 7])


def part_of(batch, rows):
    return {key: [value[i] for i in rows] for key, value in batch.items()}


def images_of(family):
    """A batch of one size: otherwise each part is padded to the size of its own largest image."""
    batch = noise(family, TEXTS, 4)
    width = min(image.size(-1) for image in batch['inputs'])
    return batch | dict(inputs=[image[..., :width] for image in batch['inputs']])


def without_statistics(model):
    """Batch norms that do not depend on the batch."""
    for module in model.modules():
        if isinstance(module, (_BatchNorm, DomainNorm)):
            module.eval()
    return model


def prepared(method, family):
    cfg = config(method, family)
    for objective in cfg.model.get('objectives', ()):
        if objective.type == 'mmocr_da.LSEDLoss':  # each rank generates other pairs
            objective.surrogate.approximation = 'local'
    model = build(cfg)
    if method != 'SeqCLR':
        make_it_read(model)
    return without_statistics(model)


def weights_of(method, family, rows, wrap=False):
    """The weights after two steps with these images."""
    model = prepared(method, family)
    batch = part_of(images_of(family), rows)
    if method == 'SeqCLR':
        batch = two_views(batch)
    names, option = matrix.METHODS[method]
    unused = matrix.LS_ED in names and option != 'both'
    forward = DistributedDataParallel(model, find_unused_parameters=unused) if wrap else model
    with independent_of_the_batch():  # each rank draws other texts
        train(model, [batch] * 2, forward=forward)
    return {k: v for k, v in model.state_dict().items() if v.is_floating_point()}


def detector_of(name, rows, wrap=False):
    model = without_statistics(adaptive('DBNet', OF_DETECTORS[name], supervised_weight=0).train())
    batch = part_of(scenes('DBNet', ['source'] * 4 + ['target'] * 4), rows)
    forward = DistributedDataParallel(model, find_unused_parameters=True) if wrap else model
    train(model, [batch] * 2, forward=forward)
    return {k: v for k, v in model.state_dict().items() if v.is_floating_point()}


def weights_of_rank(rank):
    rows = RANKS[rank]
    found = {cell: weights_of(*cell, rows, wrap=True) for cell in CELLS}
    return found | {name: detector_of(name, rows, wrap=True) for name in OF_DETECTORS}


@pytest.fixture(scope='module')
def two_ranks():
    return run_ranks(weights_of_rank)


def check(found, wanted, before):
    """The same weights, and other ones than before."""
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6, msg=f'{key} differs')
    assert any(not torch.equal(value, before[key]) for key, value in wanted.items())


@pytest.mark.parametrize('method, family', CELLS)
def test_two_processes_train_as_one(two_ranks, method, family):
    one = weights_of(method, family, sum(RANKS, []))
    before = prepared(method, family).state_dict()
    for two in two_ranks:
        check(two[method, family], one, before)


@pytest.mark.parametrize('name', OF_DETECTORS)
def test_two_processes_adapt_a_detector_as_one(two_ranks, name):
    one = detector_of(name, sum(RANKS, []))
    before = adaptive('DBNet').state_dict()
    for two in two_ranks:
        found = {k: v for k, v in two[name].items() if k in before}
        check(found, {k: v for k, v in one.items() if k in before}, before)


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize(
    'method',
    ['source only', 'global alignment (GA)', 'local alignment (LA)', 'BIN', 'minimum risk'],
)
def test_accumulated_steps_train_as_one(method, family):
    """Where the loss is a mean over images; a mean over characters depends on their number."""
    batch = images_of(family)
    found = {}
    for name, parts in dict(whole=[sum(RANKS, [])], parts=RANKS).items():
        model = prepared(method, family)
        optimizer = OptimWrapper(
            torch.optim.SGD(model.parameters(), lr=0.01), accumulative_counts=len(parts)
        )
        optimizer.initialize_count_status(model, 0, len(parts))
        for rows in parts:
            data = model.data_preprocessor(copy.deepcopy(part_of(batch, rows)), True)
            with independent_of_the_batch():
                losses = model(**data, mode='loss')
            optimizer.update_params(model.parse_losses(losses)[0])
        found[name] = {k: v for k, v in model.state_dict().items() if v.is_floating_point()}
    check(found['parts'], found['whole'], prepared(method, family).state_dict())
