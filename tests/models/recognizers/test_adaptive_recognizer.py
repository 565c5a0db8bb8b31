import copy

import pytest
import torch
from mmocr.registry import MODELS as MMOCR_MODELS

from mmocr_da.models.data_preprocessors import BatchedTextRecogDataPreprocessor
from mmocr_da.models.layers import convert_batch_norm

GLOBAL = dict(type='mmocr_da.GlobalAlignment', in_channels=16, schedule='constant', weight=0.1)
LOCAL = dict(type='mmocr_da.LocalAlignment', in_channels=16, schedule='constant', weight=0.1,
             threshold=0.0)
COMBINATIONS = [[], [GLOBAL], [LOCAL], [GLOBAL, LOCAL]]




@pytest.mark.parametrize('objectives', COMBINATIONS)
def test_supervised_loss_is_the_stock_recognizers(adaptive, recognizer_cfg, batch, objectives):
    """Batch norm sees both domains, so the comparison freezes it."""
    model = adaptive(*objectives)
    data = batch(('12', '3456'), targets=2)
    source = dict(inputs=data['inputs'][:2], data_samples=copy.deepcopy(data['data_samples'][:2]))
    stock = MMOCR_MODELS.build(recognizer_cfg())
    stock.load_state_dict({k: v for k, v in model.state_dict().items()
                           if not k.startswith('objectives')}, strict=True)
    for net in (model, stock.train()):
        for m in net.modules():
            if isinstance(m, torch.nn.BatchNorm2d):
                m.eval()
    torch.testing.assert_close(model.loss(**data)['loss_ce'], stock.loss(**source)['loss_ce'])


@pytest.mark.parametrize('reduction', ['none', 'mean', 'sum'])
def test_every_reduction_of_the_stock_loss_survives_the_early_stop(adaptive, recognizer_cfg, batch,
                                                                   reduction):
    decoder = recognizer_cfg()['decoder']
    decoder['module_loss']['reduction'] = reduction
    data = batch(('12', '3456'), targets=0)
    for objectives in ([], [LOCAL]):
        model = adaptive(*objectives, decoder=copy.deepcopy(decoder))
        sequence = model.encoder(model.extract_feat(data['inputs']))
        full = model.decoder.loss(None, sequence, data['data_samples'])['loss_ce']
        torch.testing.assert_close(model.loss(**data)['loss_ce'], full)


def test_order_of_the_images_does_not_matter(adaptive, batch):
    model = adaptive(GLOBAL, LOCAL)
    data = batch(('12', '345'), targets=2)
    mixed = [2, 0, 3, 1]
    shuffled = dict(inputs=data['inputs'][mixed],
                    data_samples=[copy.deepcopy(data['data_samples'][i]) for i in mixed])
    a, b = model.loss(**data), model.loss(**shuffled)
    for key in ('loss_ce', 'loss_global', 'loss_local'):
        torch.testing.assert_close(a[key], b[key])


def test_everything_is_logged_and_only_losses_are_summed(adaptive, batch):
    model = adaptive(GLOBAL, LOCAL)
    losses = model.loss(**batch())
    total, log = model.parse_losses(losses)
    summed = sum(losses[k] for k in ('loss_ce', 'loss_global', 'loss_local'))
    torch.testing.assert_close(total, summed)
    extra = {f'{name}_{what}' for name in ('global', 'local')
             for what in ('lambda', 'acc_source', 'acc_target')}
    assert extra | {'local_gate_source', 'local_gate_target'} <= set(log)


@pytest.mark.parametrize('objectives', COMBINATIONS[1:])
@pytest.mark.parametrize('texts, targets', [(('12', '3'), 0), ((), 2), (('1', ), 1)])
def test_a_missing_domain_is_zero_loss_and_every_parameter_has_a_gradient(adaptive, batch,
                                                                          objectives, texts,
                                                                          targets):
    model = adaptive(*objectives)
    losses = model.loss(**batch(texts, targets))
    total, _ = model.parse_losses(losses)
    assert total.isfinite()
    if not texts:
        assert losses['loss_ce'] == 0
    total.backward()
    # Without one, DDP would wait for it for ever.
    missing = [n for n, p in model.named_parameters() if p.grad is None]
    assert missing == []
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_supervised_weight_zero_leaves_only_the_objectives(adaptive, batch):
    model = adaptive(LOCAL, supervised_weight=0)
    assert model.loss(**batch())['loss_ce'] == 0


def test_without_objectives_untagged_data_is_source(adaptive, batch):
    model = adaptive()
    data = batch(('12', '3'), targets=0)
    for s in data['data_samples']:
        s.set_metainfo(dict(domain=None))
    assert model.loss(**data)['loss_ce'].isfinite()


def test_with_objectives_untagged_data_is_an_error_that_says_what_to_do(adaptive, batch):
    model = adaptive(LOCAL)
    data = batch()
    data['data_samples'][1].set_metainfo(dict(domain=None))
    with pytest.raises(ValueError, match='TwoDomainDataset'):
        model.loss(**data)


def test_a_target_text_is_refused_by_name(adaptive, batch):
    data = batch()
    data['data_samples'][-1].gt_text.item = '7'
    with pytest.raises(ValueError, match='target.png carries a text.*UnlabelledDataset'):
        adaptive(LOCAL).loss(**data)


def test_two_objectives_of_one_kind_are_refused(adaptive):
    with pytest.raises(ValueError, match=r"\['local', 'local'\]"):
        adaptive(LOCAL, LOCAL)


def test_prediction_is_the_stock_recognizers(adaptive, recognizer_cfg, batch):
    model = adaptive(GLOBAL, LOCAL).eval()
    stock = MMOCR_MODELS.build(recognizer_cfg()).eval()
    result = stock.load_state_dict({k: v for k, v in model.state_dict().items()
                                    if not k.startswith('objectives')}, strict=True)
    assert not result.missing_keys
    data = batch(('12', '345'), targets=2)
    readings = (m.predict(data['inputs'], copy.deepcopy(data['data_samples']))
                for m in (model, stock))
    texts = [[s.pred_text.item for s in samples] for samples in readings]
    assert texts[0] == texts[1]


def test_a_stock_checkpoint_loads_and_only_objectives_are_missing(adaptive, recognizer_cfg):
    model = adaptive(LOCAL)
    result = model.load_state_dict(MMOCR_MODELS.build(recognizer_cfg()).state_dict(), strict=False)
    assert not result.unexpected_keys
    assert all(k.startswith('objectives.') for k in result.missing_keys)


def test_alignment_reaches_the_backbone_and_not_the_read_out(adaptive, batch):
    """Local features come before the classifier; only the supervised loss may move that."""
    model = adaptive(LOCAL, supervised_weight=0)
    model.parse_losses(model.loss(**batch()))[0].backward()
    assert model.decoder.fc.weight.grad.abs().sum() == 0
    assert model.backbone.stem_layers[0].conv.weight.grad.abs().sum() > 0


def test_the_stock_preprocessor_is_batched(adaptive):
    assert isinstance(adaptive().data_preprocessor, BatchedTextRecogDataPreprocessor)


def test_channels_last_changes_the_layout_and_not_the_numbers(adaptive, batch):
    torch.manual_seed(0)
    plain = adaptive(LOCAL)
    torch.manual_seed(0)
    fast = adaptive(LOCAL, channels_last=True)
    weight = fast.backbone.layer2[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    a, b = plain.loss(**batch()), fast.loss(**batch())
    torch.testing.assert_close(a['loss_ce'], b['loss_ce'], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('texts, targets', [(('12', '3'), 2), ((), 2), (('12', '3'), 0)])
def test_a_decoder_without_a_tap_trains_with_global_alignment(adaptive, batch, digits_dictionary,
                                                              texts, targets):
    ctc = dict(
        type='CRNNDecoder', in_channels=16, rnn_flag=True, module_loss=dict(type='CTCModuleLoss'),
        postprocessor=dict(type='CTCPostProcessor'),
        dictionary=dict(digits_dictionary, with_start=False, with_end=False, same_start_end=False))
    model = adaptive(GLOBAL, decoder=ctc, encoder=None)
    assert model.tap is None
    total, _ = model.parse_losses(model.loss(**batch(texts, targets)))
    total.backward()
    assert total.isfinite() and [n for n, p in model.named_parameters() if p.grad is None] == []


def test_a_character_outside_the_dictionary_names_the_image(adaptive, batch, digits_dictionary):
    model = adaptive(LOCAL)
    for part in (model.decoder, model.decoder.module_loss):
        part.dictionary.with_unknown = False
    with pytest.raises(ValueError, match=r"'1x' of source.png .*dictionary: \['x'\]"):
        model.loss(**batch(('12', '1x')))


@pytest.mark.parametrize('decoder', ['ASTERDecoder', 'mmocr_da.AttentionDecoder'])
def test_mixed_precision_gives_finite_losses_near_those_of_float32(adaptive, batch, decoder):
    model = adaptive(GLOBAL, LOCAL, decoder=decoder)
    full = model.loss(**batch())
    with torch.autocast('cpu', torch.bfloat16):
        half = model.loss(**batch())
    for key in ('loss_ce', 'loss_global', 'loss_local'):
        torch.testing.assert_close(half[key].float(), full[key], rtol=0.05, atol=0.05)
    model.parse_losses(half)[0].backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_each_image_brings_its_own_padding(adaptive, batch, monkeypatch):
    """The share of valid columns follows its image through the split into domains."""
    model = adaptive(GLOBAL)
    data = batch(('12', '345'), targets=2)
    for s, ratio in zip(data['data_samples'], (0.25, 0.5, 0.75, 1.0)):
        s.set_metainfo(dict(valid_ratio=ratio))
    mixed = [2, 0, 3, 1]
    seen = []
    model.objectives[0].forward = lambda *halves: seen.extend(halves) or {}
    model.loss(data['inputs'][mixed], [data['data_samples'][i] for i in mixed])
    assert seen[0].valid_ratio.tolist() == [0.25, 0.5]
    assert seen[1].valid_ratio.tolist() == [0.75, 1.0]


def test_only_objectives_of_characters_have_the_target_read(adaptive, batch):
    for objective, rows in ((GLOBAL, 2), (LOCAL, 4)):
        model = adaptive(objective)
        read = []
        model.decoder.fc.register_forward_hook(lambda m, x, y: read.append(len(y)))
        model.loss(**batch(('12', '345'), targets=2))
        assert set(read) == {rows}


def test_published_gates_every_step_of_the_decoder(adaptive, batch, progress):
    progress(1, 10)
    model = adaptive(dict(type='mmocr_da.LocalAlignment', in_channels=16, published=True,
                          threshold=0.1))
    steps = []
    model.decoder.fc.register_forward_hook(lambda m, x, y: steps.append(1))
    losses = model.loss(**batch(('1', '2'), targets=2))
    assert len(steps) == model.decoder.max_seq_len
    assert losses['loss_local'].isfinite()


@pytest.mark.parametrize('gated', [False, True])
def test_statistics_are_shared_by_the_batch_or_kept_per_domain(adaptive, batch, gated):
    """What the source's features become depends on the target's images, or does not."""
    one = batch()
    other = copy.deepcopy(one)
    other['inputs'][2:] = other['inputs'][2:] * 3 + 1  # the two images of the target
    seen = {}
    for statistics in ('joint', 'per_domain'):
        torch.manual_seed(0)
        model = adaptive(GLOBAL, norm_statistics=statistics, channels_last=True)
        if gated:
            model = convert_batch_norm(model)
        features = []
        handle = model.backbone.register_forward_hook(lambda m, i, o: features.append(o[:2]))
        for data in (one, other):
            model.loss(**copy.deepcopy(data))
        handle.remove()
        seen[statistics] = torch.allclose(*features, atol=1e-5)
        norm = next(m for m in model.modules() if hasattr(m, 'running_mean'))
        if statistics == 'per_domain':
            assert (norm.source_mean - norm.running_mean).abs().max() > 1e-3
            assert not any(hasattr(m, 'source_mean') for m in model.objectives.modules())
            model.eval()
            tagged = [model.predict(data['inputs'][:1], data['data_samples'][i:i + 1])[0]
                      for i in (0, 2)]  # the same image, as one of the source and of the target
            assert tagged[0].pred_text.score != tagged[1].pred_text.score
    assert seen == dict(joint=False, per_domain=True)


def test_images_without_a_domain_count_for_both(adaptive, batch):
    model = adaptive(norm_statistics='per_domain')
    data = batch(targets=0)
    for s in data['data_samples']:
        del s.domain
    model.loss(**data)
    norm = next(m for m in model.modules() if hasattr(m, 'source_mean'))
    assert norm.running_mean.abs().max() > 1e-3
    assert torch.equal(norm.source_mean, norm.running_mean)


def test_statistics_of_another_kind_are_refused(adaptive):
    with pytest.raises(ValueError, match="'joint' or 'per_domain', got 'split'"):
        adaptive(norm_statistics='split')
