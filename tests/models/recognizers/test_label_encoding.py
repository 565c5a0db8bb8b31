"""Labels are encoded as by MMOCR, and reach a device at once."""

import copy

import torch
from helpers.emulated_cuda import CUDA, emulated_cuda

from mmocr_da.models.recognizers.label_encoding import encode_texts


def test_the_labels_of_a_batch_are_copied_together(adaptive, sample):
    decoder = adaptive().decoder
    here, there = [sample('12'), sample('345')], [sample('12'), sample('345')]
    encode_texts(decoder, here, torch.device('cpu'))
    wanted = [
        s.gt_text.padded_indexes
        for s in decoder.module_loss.get_targets([sample('12'), sample('345')])
    ]
    with emulated_cuda() as record:
        for _ in range(2):  # the second time they are there
            encode_texts(decoder, there, CUDA)
        assert all(s.gt_text.padded_indexes.is_cuda for s in there)
        assert not any(s.gt_text.indexes.is_cuda for s in there)
        assert record.waits() == {}
        for one, other, row in zip(here, there, wanted):
            assert torch.equal(one.gt_text.padded_indexes, row)
            assert torch.equal(other.gt_text.padded_indexes.cpu(), row)


def test_labels_without_padding_stay_as_they_are(adaptive, sample):
    decoder = copy.deepcopy(adaptive().decoder)
    decoder.module_loss.pad_idx = None
    samples = [sample('12'), sample('345')]
    encode_texts(decoder, samples, torch.device('cpu'))
    assert [len(s.gt_text.padded_indexes) for s in samples] == [4, 5]
    encode_texts(decoder, [], torch.device('cpu'))
