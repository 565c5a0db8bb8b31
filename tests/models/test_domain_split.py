"""A batch is divided once, and an image without a tag means one thing."""

import pytest
import torch

from mmocr_da.models.domain_split import DomainSplit, rows_of


def split(samples, needs_target=True):
    return DomainSplit.of_batch(samples, torch.device('cpu'), needs_target)


def test_every_image_is_in_one_half_in_the_order_of_the_batch(sample):
    texts = ['1', None, '2', None, '3']
    samples = [sample(domain='target') if t is None else sample(t) for t in texts]
    found = split(samples)
    assert found.is_source == [t is not None for t in texts]
    assert found.source.tolist() == [0, 2, 4] and found.target.tolist() == [1, 3]
    assert [s.gt_text.item for s in found.source_samples] == ['1', '2', '3']


@pytest.mark.parametrize('domain', ['source', 'target'])
def test_a_half_may_be_empty(sample, domain):
    found = split([sample(domain=domain)] * 2)
    other = {'source': 'target', 'target': 'source'}[domain]
    assert len(getattr(found, domain)) == 2 and len(getattr(found, other)) == 0
    assert getattr(found, other).dtype == torch.long


def test_an_untagged_image_is_a_labelled_one_unless_the_target_is_needed(sample):
    untagged = sample('1')
    del untagged.domain
    assert split([untagged], needs_target=False).is_source == [True]
    with pytest.raises(ValueError, match=r'got None for source.png.*TwoDomainDataset'):
        split([untagged])


def test_another_tag_and_a_labelled_target_are_refused(sample):
    with pytest.raises(ValueError, match="domain='source' or 'target', got 'print'"):
        split([sample(domain='print')], needs_target=False)
    with pytest.raises(ValueError, match='target image target.png carries a text'):
        split([sample('1', domain='target')])


def test_the_valid_ratio_is_1_where_nothing_is_padded(sample):
    samples = [sample(valid_ratio=0.25), sample()]
    del samples[1].valid_ratio
    assert split(samples).valid_ratio.tolist() == [0.25, 1.0]


def test_rows_are_of_tensors_alone():
    assert rows_of(torch.arange(3), torch.tensor([2, 0])).tolist() == [2, 0]
    assert rows_of(None, torch.tensor([0])) is None
    assert rows_of((torch.zeros(3),), torch.tensor([0])) is None
