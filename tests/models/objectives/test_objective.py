"""An objective of one's own, as a user would write it."""

import pytest
import torch

from mmocr_da.models.objectives import Objective
from mmocr_da.registry import MODELS


@MODELS.register_module()
class ToyObjective(Objective):
    name = 'toy'

    def __init__(self, needs=(), holds=False):
        super().__init__()
        for need in needs:
            setattr(self, f'needs_{need}', True)
        self.needs_target = 'target' in needs
        self.holds = holds
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.attached = []

    @property
    def holds_recognizer(self):
        return self.holds

    def attach(self, decoder, supervised_weight):
        self.attached.append((type(decoder).__name__, supervised_weight))

    def forward(self, source, target):
        self.seen = source, target
        return dict(loss_toy=self.weight * source.feature_map.mean())


def toy(**kwargs):
    return dict(type='mmocr_da.ToyObjective', **kwargs)


def test_it_is_attached_once(adaptive):
    model = adaptive(toy(), supervised_weight=0.5)
    assert model.objectives['toy'].attached == [('ASTERDecoder', 0.5)]


@pytest.mark.parametrize('needs', ['characters', 'reading'])
def test_it_gets_what_it_needs_and_no_more(adaptive, batch, needs):
    for wanted in ((), (needs,)):
        model = adaptive(toy(needs=wanted))
        model(**batch(), mode='loss')
        source, target = model.objectives['toy'].seen
        assert (getattr(source, needs) is not None) == bool(wanted)
        assert target.reading is None  # the target is not read for it
    other = {'characters': 'reading', 'reading': 'characters'}[needs]
    assert getattr(source, other) is None
    assert len(source.feature_map) == len(target.feature_map) == 2


def test_domains_are_asked_for_where_the_target_is(adaptive, batch):
    data = batch(targets=0)
    for sample in data['data_samples']:
        del sample.domain
    assert adaptive(toy())(**data, mode='loss')
    with pytest.raises(ValueError, match="needs domain='source' or 'target', got None"):
        adaptive(toy(needs=('target',)))(**data, mode='loss')


def test_one_that_holds_is_alone_and_the_recognizer_stands_still(adaptive, batch):
    model = adaptive(
        toy(holds=True), dict(type='mmocr_da.GlobalAlignment', in_channels=16, schedule='constant')
    )
    before = {k: v.clone() for k, v in model.state_dict().items()}
    losses = model(**batch(), mode='loss')
    assert set(losses) == {'loss_toy'}
    losses['loss_toy'].backward()
    assert {k for k, p in model.named_parameters() if p.grad is not None} == {
        'objectives.toy.weight'
    }
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    model.objectives['toy'].holds = False
    losses = model(**batch(), mode='loss')
    assert {'loss_toy', 'loss_global', 'loss_ce'} <= set(losses)
    assert any(not torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_statistics_are_put_back_where_a_step_fails(adaptive, batch, monkeypatch):
    model = adaptive(toy(holds=True))
    before = {k: v.clone() for k, v in model.named_buffers()}
    monkeypatch.setattr(type(model.encoder), 'forward', lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model(**batch(), mode='loss')
    assert all(torch.equal(v, before[k]) for k, v in model.named_buffers())


def test_one_without_a_forward_is_no_objective():
    with pytest.raises(NotImplementedError):
        Objective()(None, None)
