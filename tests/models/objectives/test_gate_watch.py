import pytest
import torch

from mmocr_da.models.objectives import gate_watch
from mmocr_da.models.objectives.gate_watch import PATIENCE, GateWatch


@pytest.fixture
def said(monkeypatch):
    messages = []
    monkeypatch.setattr(gate_watch, 'print_log', lambda text, **_: messages.append(text))
    return messages


def see(watch, count, **passed):
    for _ in range(count):
        watch.see(**{domain: torch.tensor(share) for domain, share in passed.items()})


def test_a_domain_of_which_nothing_passes_is_named_after_each_row_of_batches(said):
    watch = GateWatch('LocalAlignment', 0.9)
    see(watch, PATIENCE - 1, source=0.1, target=0.0)
    assert said == []
    see(watch, 1, source=0.1, target=0.0)
    assert len(said) == 1
    assert 'no character of the target' in said[0] and 'threshold=0.9' in said[0]
    see(watch, PATIENCE, source=0.1, target=0.0)
    assert len(said) == 2


@pytest.mark.parametrize('place', [0, PATIENCE // 2, PATIENCE - 1])
def test_one_character_in_a_row_of_batches_is_enough(said, place):
    watch = GateWatch('LocalAlignment', 0.9)
    see(watch, place, target=0)
    see(watch, 1, target=1)
    see(watch, PATIENCE - 1 - place, target=0)
    assert said == []
