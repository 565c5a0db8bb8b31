import pytest
import torch
from mmengine.structures import LabelData
from mmocr.structures import TextRecogDataSample

from mmocr_da.registry import MODELS


@pytest.fixture
def decoder(digits_dictionary):

    def make(**kwargs):
        cfg = dict(
            type='mmocr_da.AttentionDecoder',
            in_channels=6,
            emb_dims=5,
            attn_dims=4,
            hidden_size=3,
            max_seq_len=7,
            dictionary=digits_dictionary,
            module_loss=dict(type='CEModuleLoss', flatten=True, ignore_first_char=True),
            postprocessor=dict(type='AttentionPostprocessor'),
        )
        return MODELS.build({**cfg, **kwargs}).double()

    return make


def labelled(text):
    return TextRecogDataSample(gt_text=LabelData(item=text))


def oracle(decoder, memory, tokens):
    """Equations 2 to 6 with loops, one image and one position at a time."""
    out = []
    for image, row in zip(memory, tokens):
        hidden = torch.zeros(decoder.hidden_size, dtype=memory.dtype)
        cell = torch.zeros_like(hidden)
        for y in row:
            scores = torch.stack(
                [
                    decoder.proj_sum.weight[0]
                    @ torch.tanh(
                        decoder.proj_hidden.weight @ hidden
                        + decoder.proj_hidden.bias
                        + decoder.proj_feat.weight @ f
                        + decoder.proj_feat.bias
                    )
                    + decoder.proj_sum.bias[0]
                    for f in image
                ]
            )  # eq. 4
            alpha = scores.exp() / scores.exp().sum()  # eq. 3
            context = sum(a * f for a, f in zip(alpha, image))  # eq. 2
            embedded = decoder.embedding.weight[y]
            r = decoder.recurrent
            x = torch.cat([embedded, context])
            gates_x, gates_h = r.weight_ih @ x + r.bias_ih, r.weight_hh @ hidden + r.bias_hh
            if decoder.cell == 'gru':  # eq. 5
                rx, zx, nx = gates_x.chunk(3)
                rh, zh, nh = gates_h.chunk(3)
                z = torch.sigmoid(zx + zh)
                hidden = (1 - z) * torch.tanh(nx + torch.sigmoid(rx + rh) * nh) + z * hidden
            else:
                i, f, g, o = (gates_x + gates_h).chunk(4)
                cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
                hidden = torch.sigmoid(o) * torch.tanh(cell)
            readout = hidden
            if decoder.readout == 'deep':  # eq. 6
                readout = torch.tanh(
                    embedded
                    + decoder.readout_hidden.weight @ hidden
                    + decoder.readout_context.weight @ context
                )
            out.append(decoder.fc.weight @ readout + decoder.fc.bias)
    return torch.stack(out).view(*tokens.shape, -1)


@pytest.mark.parametrize('cell', ['gru', 'lstm'])
@pytest.mark.parametrize('readout', ['deep', 'hidden'])
def test_logits_follow_the_equations(decoder, cell, readout):
    model = decoder(cell=cell, readout=readout).train()
    memory = torch.randn(2, 4, 6, dtype=torch.double)
    samples = [labelled('12'), labelled('4567')]
    logits = model(None, memory, samples)
    tokens = torch.stack([s.gt_text.padded_indexes for s in samples])
    torch.testing.assert_close(logits, oracle(model, memory, tokens))


@pytest.mark.parametrize('cell', ['gru', 'lstm'])
def test_reading_freely_equals_being_forced_to_the_own_reading(decoder, cell):
    model = decoder(cell=cell).eval()
    memory = torch.randn(3, 4, 6, dtype=torch.double)
    free = model(None, memory, None)
    start = torch.full((3, 1), model.start_idx)
    tokens = torch.cat([start, free.argmax(-1)[:, :-1]], 1)
    forced = torch.softmax(model._run(memory, tokens), -1)
    torch.testing.assert_close(free, forced)


def test_a_feature_map_is_read_as_a_grid_sequence(decoder):
    model = decoder().eval()
    grid = torch.randn(2, 6, 2, 3, dtype=torch.double)
    sequence = grid.view(2, 6, 6).transpose(1, 2)
    torch.testing.assert_close(model(grid, None, None), model(None, sequence, None))


def test_the_final_classifier_keeps_its_name(decoder):
    for readout, width in (('deep', 5), ('hidden', 3)):
        assert decoder(readout=readout).fc.weight.shape == (13, width)


@pytest.mark.parametrize('bad', [dict(cell='rnn'), dict(readout='tanh')])
def test_unknown_option(decoder, bad):
    with pytest.raises(ValueError, match="must be '"):
        decoder(**bad)
