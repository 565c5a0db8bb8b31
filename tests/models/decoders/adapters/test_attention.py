"""Where decoders look for each character of their prediction."""

import pytest
import torch
from helpers.decoders import ISOLATED, OTHERS, STEPWISE, inputs_of
from torch import nn

from mmocr_da.models.decoders import adapter_of
from mmocr_da.registry import MODELS

KINDS = {**STEPWISE, **OTHERS}
for name in (
    'SequentialSARDecoder(dec_gru=True)',  # MMOCR's own loop fails
    'ParallelSARDecoder(dec_bi_rnn=True)',  # it does not decode step by step
    'RobustScannerFuser(encode_value=True)',
    'ABIFuser(language)',
):
    KINDS.pop(name)
#: Decoders that never look at padding.
MASKED = ('ParallelSARDecoder', 'SequentialSARDecoder', 'RobustScannerFuser', 'NRTRDecoder')


@pytest.mark.parametrize('kind', KINDS)
def test_the_weights_of_each_step_of_the_prediction_add_up_to_one(decoder, sample, kind):
    model = decoder(kind)
    with torch.no_grad():  # so that some texts end, at different steps
        adapter_of(model).classifier.weight.mul_(10)
    samples = [sample(domain='target', valid_ratio=ratio) for ratio in (1.0, 0.5, 0.5)]
    inputs = inputs_of(model, 3)
    found = adapter_of(model).attention(*inputs, samples)
    assert model.training
    n, t, positions = found.weights.shape
    assert (n, positions) == (3, inputs[0][0, 0].numel()) and found.classes.shape == (n, t)
    torch.testing.assert_close(found.weights.sum(-1), torch.ones_like(found.weights[..., 0]))
    assert found.weights.min() >= 0 and found.weights.std() > 0
    model.eval()
    predicted = adapter_of(model).probabilities(*inputs, samples).argmax(-1)
    assert torch.equal(found.classes, predicted[:, :t])
    texts = model.postprocessor(nn.functional.one_hot(predicted, 14).double(), samples)
    for i, text in enumerate(texts):
        kept = found.classes[i][found.is_character[i]].tolist()
        assert ''.join(model.dictionary.dict[k] for k in kept) == text.pred_text.item
    if kind in MASKED:
        right = found.weights[1:].unflatten(-1, inputs[0].shape[-2:])[..., positions // 2 :]
        assert right.max() == 0


@pytest.mark.parametrize(
    'kind',
    ['ASTERDecoder', 'mmocr_da.AttentionDecoder', 'ParallelSARDecoder', 'SequentialSARDecoder'],
)
def test_the_weighted_sum_of_the_memory_is_the_context(decoder, sample, kind):
    """Eq. 2 of ASSDA, with the contexts that objectives get."""
    model = decoder(kind).eval()
    feature_map, sequence = inputs_of(model, 4)
    samples = [sample(domain='target', valid_ratio=ratio) for ratio in (1.0, 0.7, 0.4, 1.0)]
    found = adapter_of(model).attention(feature_map, sequence, samples)
    memory = feature_map.flatten(2).transpose(1, 2) if 'SAR' in kind else sequence
    contexts = (
        adapter_of(model)
        .decode(feature_map, sequence, samples, [False] * 4, torch.ones(4), 'context')
        .features
    )
    torch.testing.assert_close(found.weights @ memory, contexts)


def test_the_weighted_sum_of_the_map_is_the_glimpse_of_the_hybrid_branch(decoder, sample):
    model = decoder('RobustScannerFuser').eval()
    feature_map, sequence = inputs_of(model, 2)
    glimpses = []
    model.hybrid_decoder.attention_layer.register_forward_hook(lambda *x: glimpses.append(x[2]))
    samples = [sample(domain='target', valid_ratio=ratio) for ratio in (1.0, 0.5)]
    found = adapter_of(model).attention(feature_map, sequence, samples)
    torch.testing.assert_close(found.weights @ feature_map.flatten(2).mT, torch.cat(glimpses, 2).mT)


@pytest.mark.parametrize('kind', ['ASTERDecoder', 'NRTRDecoder'])
def test_weights_follow_the_positions_of_the_memory(decoder, sample, kind):
    model = decoder(kind).eval()
    feature_map, sequence = inputs_of(model, 2)
    samples = [sample(domain='target')] * 2
    order = torch.randperm(8)
    found = adapter_of(model).attention(feature_map, sequence, samples)
    moved = adapter_of(model).attention(feature_map[..., order], sequence[:, order], samples)
    assert torch.equal(found.classes, moved.classes)
    torch.testing.assert_close(found.weights[..., order], moved.weights)


@pytest.mark.parametrize('kind', ['MasterDecoder', 'NRTRDecoder', 'RobustScannerFuser'])
def test_weights_without_a_query_are_those_of_the_keys(decoder, sample, kind):
    """The same query at all steps, in the last layer, or none."""
    model = decoder(kind).eval()
    feature_map, sequence = inputs_of(model, 2)
    if kind == 'MasterDecoder':
        attention = model.decoder_layers[-1].attentions[1].attn
        for value in (attention.in_proj_weight[:32], attention.in_proj_bias[:32]):
            value.data.zero_()
        attention.in_proj_bias.data[:16] = 1  # the same query at all steps; keys are the memory
        attention.in_proj_weight.data[16:32] = torch.eye(16)
        memory = model.feat_positional_encoding(feature_map.flatten(2).transpose(1, 2))
        keys = memory.unflatten(-1, (2, 8)).sum(-1) / 8**0.5
        expected = keys.softmax(1).mean(-1)
    elif kind == 'NRTRDecoder':
        model.layer_stack[-1].enc_attn.linear_q.weight.data.zero_()
        expected = torch.full((2, 8), 1 / 8)
    else:
        hybrid = model.hybrid_decoder
        for parameter in hybrid.sequence_layer.parameters():
            parameter.data.zero_()  # then all queries are 0, and all positions alike
        expected = torch.full((2, 8), 1 / 8)
    found = adapter_of(model).attention(feature_map, sequence, [sample(domain='target')] * 2)
    torch.testing.assert_close(
        found.weights, expected[:, None].expand_as(found.weights), check_dtype=False
    )


@pytest.mark.parametrize('kind', ['CRNNDecoder', 'SVTRDecoder'])
def test_ctc_shows_the_frames_of_each_character(decoder_cfg, sample, kind):
    """'1', '1' after a blank and '2' in two frames, as also in the last frame, which is padding."""
    model = MODELS.build(decoder_cfg(kind)).eval()
    blank = model.dictionary.padding_idx
    path = [1, 1, blank, 1, blank, 2, 2, 2]
    probabilities = torch.full((1, 8, model.dictionary.num_classes), 0.01)
    for frame, char in enumerate(path):
        probabilities[0, frame, char] = 0.5 + frame / 20
    model.forward_test = lambda *_: probabilities
    found = adapter_of(model).attention(
        torch.zeros(1, 16, 1, 8), None, [sample(domain='target', valid_ratio=7 / 8)]
    )
    kept = found.is_character[0]
    assert found.classes[0][kept].tolist() == [1, 1, 2]
    expected = torch.zeros(3, 8)
    expected[0, :2] = torch.tensor([0.5, 0.55])
    expected[1, 3] = 0.65
    expected[2, 5:7] = torch.tensor([0.75, 0.8])
    torch.testing.assert_close(found.weights[0][kept], expected)


def test_a_decoder_that_cannot_tell_says_so(decoder_cfg, sample):
    model = MODELS.build(decoder_cfg(ISOLATED)).eval()
    with pytest.raises(ValueError, match='CharacterDecoder does not say where it looks for a ch'):
        adapter_of(model).attention(torch.zeros(1, 16, 1, 8), None, [sample(domain='target')])
