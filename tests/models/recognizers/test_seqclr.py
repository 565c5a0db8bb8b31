import copy
import re

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.runner import load_checkpoint
from mmocr.structures import TextRecogDataSample

from mmocr_da.models.contrastive import nt_xent
from mmocr_da.models.recognizers import SeqCLR
from mmocr_da.registry import MODELS


@pytest.fixture
def seqclr(recognizer_cfg):
    """The tiny ASTER, pre-trained; 16 channels, 8 frames."""

    def make(**kwargs):
        cfg = recognizer_cfg()
        cfg.update(type='mmocr_da.SeqCLR', **kwargs)
        return MODELS.build(cfg).train()

    return make


def views(count=3, ratios=(1, 1, 1), width=32, num_views=2):
    """A batch as the loader hands it on: lists of views of lists of images."""
    generator = torch.Generator().manual_seed(0)
    items = []
    for ratio in ratios[:count]:
        images = [
            torch.randint(0, 256, (1, 16, width), generator=generator, dtype=torch.uint8)
            for _ in range(num_views)
        ]
        samples = [
            TextRecogDataSample(metainfo=dict(valid_ratio=ratio, img_shape=(16, width)))
            for _ in images
        ]
        items.append(dict(inputs=images, data_samples=samples))
    return pseudo_collate(items)


def loss_of(model, batch):
    data = model.data_preprocessor(copy.deepcopy(batch), True)
    return model(**data, mode='loss')['loss_contrastive']


def test_both_views_pass_together_and_positives_are_the_same_windows(seqclr):
    model = seqclr(mapping=dict(type='mmocr_da.WindowToInstance', num_windows=4))
    batch = views()
    data = model.data_preprocessor(copy.deepcopy(batch), True)
    assert data['inputs'].shape == (6, 1, 16, 32)
    for i in range(3):  # view by view, normalised
        expected = (batch['inputs'][1][i].float() - 127.5) / 127.5
        torch.testing.assert_close(data['inputs'][3 + i], expected)
    # 8 frames: windows of two.
    frames = model.encoder(model.backbone(data['inputs']))
    windows = frames.unflatten(1, (4, 2)).mean(2)
    torch.testing.assert_close(
        loss_of(model, batch), nt_xent(windows[:3].flatten(0, 1), windows[3:].flatten(0, 1))
    )


def test_every_part_learns(seqclr):
    model = seqclr(
        representation='HV',
        projection=dict(
            type='mmocr_da.BiLSTMProjection', in_channels=32, hidden_channels=5, out_channels=7
        ),
    )
    loss_of(model, views()).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all(), name
    assert {n.split('.')[0] for n, _ in model.named_parameters()} == {
        'backbone',
        'encoder',
        'projection',
    }


def test_representations(seqclr):
    batch = views()
    v, h, hv = (seqclr(representation=r) for r in ('V', 'H', 'HV'))
    assert v.encoder_modules == ('backbone',) and not v.with_encoder  # DDP would wait for it
    for model in (h, hv):
        model.load_state_dict(v.state_dict(), strict=False)
        model.encoder.load_state_dict(h.encoder.state_dict())
    out = {}
    for name, model in dict(V=v, H=h, HV=hv).items():
        data = model.data_preprocessor(copy.deepcopy(batch), True)
        out[name] = model(**data, mode='tensor')
    assert out['V'].shape == out['H'].shape == (6, 8, 16)
    torch.testing.assert_close(out['HV'], torch.cat([out['H'], out['V']], -1))
    # H of the tiny ASTER sees all columns, V those around.
    torch.testing.assert_close(out['V'], v.backbone(data['inputs'])[:, :, 0].transpose(1, 2))


def test_padded_columns_make_no_instance(seqclr):
    """What is in the padding changes nothing; only V, since MMOCR's encoders look at it."""
    for mapping in ('AllToInstance', 'WindowToInstance', 'FrameToInstance'):
        model = seqclr(representation='V', mapping=dict(type=f'mmocr_da.{mapping}')).eval()
        batch = views(ratios=(1, 0.5, 0.25))
        frames = []
        model.mapping.register_forward_pre_hook(lambda _, x: frames.append(x))
        loss = loss_of(model, batch)
        projected, lengths = frames[0]
        assert lengths.tolist() == [8, 4, 2] * 2
        changed = projected.clone()
        for i, n in enumerate(lengths):
            changed[i, n:] = 1000.0
        instances, exists = model.mapping(changed, lengths)
        kept = [x[e] for x, e in ((instances[:3], exists[:3]), (instances[3:], exists[3:]))]
        torch.testing.assert_close(nt_xent(*kept), loss)
        expected = dict(AllToInstance=3, WindowToInstance=5 + 4 + 2, FrameToInstance=8 + 4 + 2)
        assert len(kept[0]) == expected[mapping]


def test_images_of_several_widths_are_padded_and_the_padding_is_none(seqclr):
    model = seqclr(representation='V', mapping=dict(type='mmocr_da.FrameToInstance'))
    model.keep_instances = True
    narrow, wide = views(1, width=16), views(1, width=32)
    batch = {key: [a + b for a, b in zip(narrow[key], wide[key])] for key in narrow}
    loss_of(model, batch)
    za, zb = model.latest_instances
    assert za.shape == zb.shape == (4 + 8, 16)


def test_an_image_without_two_equally_long_views_contributes_what_both_have(seqclr):
    model = seqclr(mapping=dict(type='mmocr_da.FrameToInstance'))
    model.keep_instances = True
    batch = views()
    batch['data_samples'][1][0].set_metainfo(dict(valid_ratio=0.5))
    loss_of(model, batch)
    assert len(model.latest_instances[0]) == 4 + 8 + 8


def test_one_image_and_one_instance_is_a_connected_zero(seqclr):
    model = seqclr(mapping=dict(type='mmocr_da.AllToInstance'))
    loss = loss_of(model, views(1))
    loss.backward()
    assert abs(loss) < 1e-6


@pytest.mark.parametrize(
    'mapping',
    [dict(type='mmocr_da.AllToInstance'), dict(type='mmocr_da.WindowToInstance', num_windows=1)],
)
def test_batches_that_never_have_negatives_are_refused(seqclr, mapping):
    model = seqclr(mapping=mapping)
    for _ in range(3):  # the last batch of an epoch may be small
        assert loss_of(model, views(1)) < 1e-5
        assert loss_of(model, views(2)) > 0
    assert loss_of(model, views(1)) < 1e-5
    with pytest.raises(
        ValueError,
        match=rf'got 1 in 1 images by {mapping["type"][9:]}, twice in a '
        r'row.*train_dataloader\.batch_size',
    ):
        loss_of(model, views(1))


def test_an_encoder_that_cannot_learn_is_refused(seqclr):
    model = seqclr(representation='HV')
    model.backbone.requires_grad_(False)
    assert loss_of(model, views()).requires_grad  # the rest learns
    model.encoder.requires_grad_(False)
    with pytest.raises(ValueError, match="all that SeqCLR trains is frozen.*'HV'.*one of backbone"):
        loss_of(model, views())
    with torch.no_grad():
        assert loss_of(model, views()) > 0


def test_instances_are_kept_when_asked_for(seqclr):
    model = seqclr()
    loss = loss_of(model, views())
    assert model.latest_instances is None
    model.keep_instances = True
    torch.testing.assert_close(
        loss_of(model.eval(), views()), nt_xent(*model.latest_instances).detach()
    )
    assert not model.latest_instances[0].requires_grad
    assert loss.requires_grad


# --------------------------------------------------------------------------- weights


def test_a_recognizer_takes_over_the_encoder_and_back(seqclr, recognizer_cfg, tmp_path):
    model = seqclr(projection=dict(type='mmocr_da.MLPProjection', in_channels=16))
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'pre.pth')
    recognizer = MODELS.build(recognizer_cfg())
    load_checkpoint(recognizer, str(tmp_path / 'pre.pth'), logger=MMLogger.get_current_instance())
    for part in model.encoder_modules:
        for (name, a), b in zip(
            recognizer.get_submodule(part).state_dict().items(),
            model.get_submodule(part).state_dict().values(),
        ):
            assert torch.equal(a, b), name
    assert model.encoder_modules == ('backbone', 'encoder')
    fresh = seqclr()
    missing, unexpected = fresh.load_state_dict(recognizer.state_dict(), strict=False)
    assert not missing and all(key.startswith('decoder.') for key in unexpected)


MMOCR = {  # config: (representation, frames of a 32 x 128 image)
    'crnn/crnn_mini-vgg_5e_mj': ('V', 33),
    'crnn/crnn_mini-vgg_5e_mj ': ('H', 33),
    'aster/aster_resnet45_6e_st_mj': ('H', 25),
    'svtr/svtr-tiny_20e_st_mj': ('H', 25),
    'nrtr/nrtr_resnet31-1by8-1by4_6e_st_mj': ('H', 32),
    'satrn/satrn_shallow-small_5e_st_mj': ('H', 32),
    'abinet/abinet-vision_20e_st-an_mj': ('HV', 32),
    'robust_scanner/robustscanner_resnet31_5e_st-sub_mj-sub_sa_real': ('H', 32),
    'sar/sar_resnet31_parallel-decoder_5e_st-sub_mj-sub_sa_real': ('V', 32),
    'master/master_resnet31_12e_st_mj_sa': ('V', 32),
}


@pytest.mark.parametrize('name', MMOCR)
def test_any_recognizer_of_mmocr_by_its_type(name, mmocr_recognizer):
    representation, frames = MMOCR[name]
    cfg = mmocr_recognizer(name.strip())
    stock = MODELS.build(copy.deepcopy(cfg))
    cfg.update(type='mmocr_da.SeqCLR', representation=representation)
    model = MODELS.build(cfg)
    channels = 1 if 'crnn' in name else 3
    images = [
        [torch.randint(0, 256, (channels, 32, 128), dtype=torch.uint8) for _ in range(2)]
        for _ in range(2)
    ]
    samples = [
        [TextRecogDataSample(metainfo=dict(valid_ratio=1.0, img_shape=(32, 128))) for _ in range(2)]
        for _ in range(2)
    ]
    data = model.data_preprocessor(dict(inputs=images, data_samples=samples), True)
    model.keep_instances = True
    loss = model(**data, mode='loss')['loss_contrastive']
    assert loss.isfinite() and loss.requires_grad
    assert model(**data, mode='tensor').shape[:2] == (4, frames)
    ours, theirs = model.state_dict(), stock.state_dict()
    assert ours.keys() <= theirs.keys()
    prefixes = tuple(f'{name}.' for name in model.encoder_modules)
    assert {k for k in theirs if k.startswith(prefixes)} == ours.keys()
    assert 'encoder' in model.encoder_modules or representation == 'V' or 'crnn' in name
    assert all(ours[k].shape == theirs[k].shape for k in ours)


def test_rows_and_columns_of_a_high_map(seqclr):
    """An encoder that reads row by row, and one that reads column by column."""
    feature_map = torch.randn(2, 16, 2, 3)
    frames = feature_map.mean(2).transpose(1, 2)
    model = seqclr()
    rows = feature_map.flatten(2).transpose(1, 2)
    torch.testing.assert_close(model._frames(rows, feature_map), frames)
    model = seqclr(encoder=dict(type='mmocr_da.BiLSTMEncoder', in_channels=16))
    columns = feature_map.transpose(2, 3).flatten(2).transpose(1, 2)
    torch.testing.assert_close(model._frames(columns, feature_map), frames)
    torch.testing.assert_close(model._frames(feature_map, feature_map), frames)


# --------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(representation='X'), "one of V, H, HV, got 'X'"),
        (dict(encoder=None), "needs an encoder, or a CRNNDecoder.*set representation='V'"),
        (dict(backbone=None, representation='V'), "needs a backbone.*set representation='H'"),
    ],
)
def test_wrong_options(seqclr, options, message):
    with pytest.raises(ValueError, match=message):
        seqclr(**options)


def test_a_projection_of_another_width_says_which(seqclr):
    model = seqclr(projection=dict(type='mmocr_da.MLPProjection', in_channels=99))
    with pytest.raises(ValueError, match='in_channels=16, the width of'):
        loss_of(model, views())


def test_an_encoder_without_a_sequence_is_refused(seqclr):
    model = seqclr()
    with pytest.raises(ValueError, match=re.escape('got (2, 16) from ASTEREncoder')):
        model._frames(torch.zeros(2, 16), torch.zeros(2, 16, 1, 8))


def test_a_batch_without_views_is_refused_in_training(seqclr):
    model = seqclr()
    batch = views()
    single = {key: value[0] for key, value in batch.items()}
    with pytest.raises(ValueError, match='mmocr_da.MultiView'):
        model.data_preprocessor(copy.deepcopy(single), True)
    assert model.data_preprocessor(single, False)['inputs'].shape == (3, 1, 16, 32)


def test_it_reads_nothing(seqclr):
    with pytest.raises(ValueError, match='train a decoder on it'):
        seqclr().predict(None, [])


def test_it_is_registered():
    assert MODELS.get('mmocr_da.SeqCLR') is SeqCLR
