"""A custom objective, as a user would write it."""

import pytest
import torch

from mmocr_da.models.objectives import Objective
from mmocr_da.registry import MODELS


@MODELS.register_module()
class ToyObjective(Objective):
    name = 'toy'

    def __init__(self, needs=(), freezes=False):
        super().__init__()
        for need in needs:
            setattr(self, f'needs_{need}', True)
        self.needs_target = 'target' in needs
        self.freezes = freezes
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.attached = []

    @property
    def freezes_recognizer(self):
        return self.freezes

    def attach(self, recognizer):
        self.attached.append((type(recognizer.decoder).__name__, recognizer.supervised_weight))

    def forward(self, source, target):
        self.seen = source, target
        return dict(loss_toy=self.weight * source.feature_map.mean())


def toy(**kwargs):
    return dict(type='mmocr_da.ToyObjective', **kwargs)


def test_it_is_attached_once(adaptive):
    model = adaptive(toy(), supervised_weight=0.5)
    assert model.objectives['toy'].attached == [('ASTERDecoder', 0.5)]


@pytest.mark.parametrize('needs', ['characters', 'prediction'])
def test_it_gets_what_it_needs_and_no_more(adaptive, batch, needs):
    for wanted in ((), (needs,)):
        model = adaptive(toy(needs=wanted))
        model(**batch(), mode='loss')
        source, target = model.objectives['toy'].seen
        assert has(source, needs) == bool(wanted)
        assert not has(target, 'prediction')  # the target is not decoded for it
    other = {'characters': 'prediction', 'prediction': 'characters'}[needs]
    assert not has(source, other)
    assert len(source.feature_map) == len(target.feature_map) == 2


def has(features, name):
    """Whether an objective can use it; else it is told how to get it."""
    try:
        return getattr(features, name) is not None
    except ValueError as error:
        assert f'needs_{name} = True' in str(error)
        return False


def test_domains_are_needed_where_the_target_is(adaptive, batch):
    data = batch(targets=0)
    for sample in data['data_samples']:
        del sample.domain
    assert adaptive(toy())(**data, mode='loss')
    with pytest.raises(ValueError, match="needs domain='source' or 'target', got None"):
        adaptive(toy(needs=('target',)))(**data, mode='loss')


def test_one_that_freezes_the_recognizer_is_trained_alone(adaptive, batch):
    model = adaptive(
        toy(freezes=True),
        dict(type='mmocr_da.GlobalAlignment', in_channels=16, schedule='constant'),
    )
    before = {k: v.clone() for k, v in model.state_dict().items()}
    losses = model(**batch(), mode='loss')
    assert set(losses) == {'loss_toy'}
    losses['loss_toy'].backward()
    assert {k for k, p in model.named_parameters() if p.grad is not None} == {
        'objectives.toy.weight'
    }
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    model.objectives['toy'].freezes = False
    losses = model(**batch(), mode='loss')
    assert {'loss_toy', 'loss_global', 'loss_ce'} <= set(losses)
    assert any(not torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_value_with_the_name_of_another_is_refused(adaptive, batch, monkeypatch):
    forward = ToyObjective.forward
    for values in (dict(loss=1, x=2), dict(loss_ce=1), dict(loss_global=1)):

        def returned(self, source, target, values=values):
            loss = forward(self, source, target)['loss_toy']
            out = {k: loss * v for k, v in values.items()}
            return self.named(out) if 'loss' in values else out

        monkeypatch.setattr(ToyObjective, 'forward', returned)
        model = adaptive(
            toy(), dict(type='mmocr_da.GlobalAlignment', in_channels=16, schedule='constant')
        )
        if 'loss' in values:
            losses = model(**batch(), mode='loss')
            assert losses['toy_x'] == 2 * losses['loss_toy']
        else:
            with pytest.raises(ValueError, match=f"{list(values)[0]}.*'toy'; return self.named"):
                model(**batch(), mode='loss')


def test_statistics_are_put_back_where_a_step_fails(adaptive, batch, monkeypatch):
    model = adaptive(toy(freezes=True))
    before = {k: v.clone() for k, v in model.named_buffers()}
    monkeypatch.setattr(type(model.encoder), 'forward', lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model(**batch(), mode='loss')
    assert all(torch.equal(v, before[k]) for k, v in model.named_buffers())


def test_one_without_a_forward_is_no_objective():
    with pytest.raises(NotImplementedError):
        Objective()(None, None)


class Hooked(ToyObjective):
    """Doubles the classifier's bias in testing, and says so in checkpoints and exports."""

    name = 'hooked'
    replaces_weights = True

    def before_load(self, recognizer, state_dict, prefix):
        state_dict[f'{prefix}decoder.fc.bias'] = state_dict[f'{prefix}decoder.fc.bias'] + 1

    def predict(self, recognizer, decode, data_samples):
        self.tested = data_samples is not None
        bias = recognizer.decoder.fc.bias.data
        bias.mul_(2)
        out = decode()
        bias.div_(2)
        return out

    def before_export(self, recognizer, state_dict):
        state_dict['decoder.fc.bias'] = 2 * state_dict['decoder.fc.bias']


MODELS.register_module(module=Hooked)


def test_its_hooks_change_loading_prediction_and_export_together(adaptive, batch):
    model = adaptive(toy(), dict(type='mmocr_da.Hooked')).eval()
    torch.nn.init.normal_(model.decoder.fc.bias, std=3)
    plain = adaptive().eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    exported = model.plain_state_dict(model.state_dict())
    plain.load_state_dict({k: v for k, v in exported.items() if not k.startswith('objectives.')})
    data = batch(targets=2)
    wanted = plain(data['inputs'], mode='tensor')
    torch.testing.assert_close(model(data['inputs'], mode='tensor'), wanted)
    assert not model.objectives['hooked'].tested
    texts = [[s.pred_text.item for s in m.predict(**batch(targets=2))] for m in (plain, model)]
    assert texts[0] == texts[1] and model.objectives['hooked'].tested
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    model.load_state_dict(before)
    torch.testing.assert_close(model.decoder.fc.bias, before['decoder.fc.bias'] + 1)
