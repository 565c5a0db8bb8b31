import pytest
import torch
from mmengine.structures import LabelData

from mmocr_da.models.decoders import CharacterTap, supported_decoders
from mmocr_da.models.decoders.character_features import pad_steps, read_characters

DECODERS = ['ASTERDecoder', 'mmocr_da.AttentionDecoder']


def encode(model, batch):
    feature_map = model.extract_feat(batch['inputs'])
    return feature_map, model.encoder(feature_map, batch['data_samples'])


def with_targets(model, samples):
    """The samples, after the loss has given the labelled ones their indexes."""
    model.decoder.module_loss.get_targets([s for s in samples if s.domain == 'source'])
    return samples


@pytest.mark.parametrize('decoder', DECODERS)
def test_labelled_rows_equal_the_decoders_training_path(adaptive, batch, decoder):
    model = adaptive(decoder=decoder)
    data = batch(('12', '3456', '7'), targets=0)
    feature_map, sequence = encode(model, data)
    expected = model.decoder(feature_map, sequence, data['data_samples'])
    tapped = CharacterTap(model.decoder)(model.decoder, feature_map, sequence,
                                         with_targets(model, data['data_samples']))
    steps = tapped.logits.size(1)
    assert steps == 5  # four characters and the end token
    torch.testing.assert_close(tapped.logits, expected[:, :steps])


@pytest.mark.parametrize('decoder', DECODERS)
def test_unlabelled_rows_equal_the_decoders_test_path(adaptive, batch, decoder):
    model = adaptive(decoder=decoder)
    data = batch(('123456', ), targets=3)
    feature_map, sequence = encode(model, data)
    tapped = CharacterTap(model.decoder)(model.decoder, feature_map, sequence,
                                         with_targets(model, data['data_samples']))
    free = model.decoder.eval()(feature_map[1:], sequence[1:], None)
    logits = torch.softmax(tapped.logits[1:], -1)
    torch.testing.assert_close(logits, free[:, :logits.size(1)])


@pytest.mark.parametrize('decoder', DECODERS)
def test_a_row_does_not_depend_on_its_neighbours(adaptive, batch, decoder):
    model = adaptive(decoder=decoder).eval()
    data = batch(('12', '345'), targets=2)
    feature_map, sequence = encode(model, data)
    samples = with_targets(model, data['data_samples'])
    tap = CharacterTap(model.decoder)
    together = tap(model.decoder, feature_map, sequence, samples)
    for row in range(4):
        one = slice(row, row + 1)
        alone = tap(model.decoder, feature_map[one], sequence[one], samples[one])
        steps = min(alone.logits.size(1), together.logits.size(1))
        torch.testing.assert_close(alone.features[0, :steps], together.features[row, :steps])
        assert torch.equal(alone.valid[0, :steps], together.valid[row, :steps])


def test_features_are_the_contexts_or_the_classifier_input(adaptive, batch):
    model = adaptive(decoder='mmocr_da.AttentionDecoder')
    data = batch(('12', ), targets=1)
    feature_map, sequence = encode(model, data)
    samples = with_targets(model, data['data_samples'])
    context = CharacterTap(model.decoder)(model.decoder, feature_map, sequence, samples)
    hidden = CharacterTap(model.decoder, 'hidden')(model.decoder, feature_map, sequence, samples)
    assert context.features.size(-1) == model.decoder.in_channels
    torch.testing.assert_close(model.decoder.fc(hidden.features), hidden.logits)
    # A context is a convex combination of the memory (eq. 2): it lies within its range.
    low, high = sequence.amin(1, keepdim=True), sequence.amax(1, keepdim=True)
    assert ((context.features >= low - 1e-6) & (context.features <= high + 1e-6)).all()
    assert not model.decoder.fc._forward_pre_hooks  # nothing stays behind


def test_valid_steps_of_a_label_are_its_characters(adaptive, batch):
    model = adaptive()
    data = batch(('12', '345', ''), targets=0)
    tapped = CharacterTap(model.decoder)(model.decoder, *encode(model, data),
                                         with_targets(model, data['data_samples']))
    assert tapped.valid.sum(1).tolist() == [2, 3, 0]
    for row, text in enumerate(('12', '345')):
        assert tapped.targets[row, :len(text)].tolist() == [int(c) for c in text]


def test_a_text_that_fills_the_decoder_loses_its_last_character_only(adaptive, batch):
    model = adaptive()
    data = batch(('1234567890', ), targets=0)  # max_seq_len 8: start token and 7 characters
    tapped = CharacterTap(model.decoder)(model.decoder, *encode(model, data),
                                         with_targets(model, data['data_samples']))
    assert tapped.valid.sum() == 7


def test_valid_steps_of_a_reading_end_with_the_end_token(adaptive):
    decoder = adaptive().decoder
    end, padding = decoder.dictionary.end_idx, decoder.dictionary.padding_idx
    reading = torch.tensor([[1, 2, end, 3], [end, 4, 5, 6], [7, padding, 8, 9]])
    logits = torch.nn.functional.one_hot(reading, decoder.num_classes).float()
    assert read_characters(decoder, logits).int().tolist() == [[1, 1, 0, 0], [0, 0, 0, 0],
                                                               [1, 0, 1, 1]]


def test_gradient_reaches_the_features_of_a_free_reading(adaptive, batch):
    model = adaptive()
    data = batch((), targets=2)
    feature_map, sequence = encode(model, data)
    tapped = CharacterTap(model.decoder)(model.decoder, feature_map, sequence, data['data_samples'])
    grad, = torch.autograd.grad(tapped.features.square().sum(), feature_map)
    assert (grad.abs().sum((1, 2, 3)) > 0).all()


def test_padded_steps_are_zero():
    logits = torch.ones(2, 3, 4)
    padded = pad_steps(logits, 5)
    assert padded.shape == (2, 5, 4) and padded[:, 3:].abs().sum() == 0
    assert torch.equal(padded[:, :3], logits)


def test_an_unknown_decoder_gets_the_list_of_the_known_ones(digits_dictionary):
    from mmocr_da.registry import MODELS

    transformer = MODELS.build(dict(
        type='NRTRDecoder', n_layers=1, d_embedding=8, n_head=1, d_model=8, d_inner=8, d_k=8, d_v=8,
        dictionary=digits_dictionary, module_loss=dict(type='CEModuleLoss')))
    with pytest.raises(ValueError, match='NRTRDecoder.*' + ', '.join(supported_decoders())):
        CharacterTap(transformer)


def test_wrong_hook_point_is_refused(adaptive):
    with pytest.raises(ValueError, match="'context' or 'hidden', got 'glimpse'"):
        CharacterTap(adaptive().decoder, 'glimpse')


def test_a_loss_that_keeps_the_start_token_is_refused(adaptive):
    decoder = adaptive().decoder
    decoder.module_loss.ignore_first_char = False
    with pytest.raises(ValueError, match='ignore_first_char=True'):
        CharacterTap(decoder)


def test_all_steps_are_run_when_the_loss_reads_the_padding(adaptive, batch):
    model = adaptive()
    model.decoder.module_loss.ignore_index = -1
    data = batch(('1', ), targets=0)
    data['data_samples'][0].gt_text = LabelData(item='1')
    tapped = CharacterTap(model.decoder)(model.decoder, *encode(model, data),
                                         with_targets(model, data['data_samples']))
    assert tapped.logits.size(1) == model.decoder.max_seq_len
