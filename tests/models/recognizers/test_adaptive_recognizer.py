import copy

import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.runner import load_checkpoint
from mmocr.registry import MODELS as MMOCR_MODELS

from mmocr_da.models.data_preprocessors import BatchedTextRecogDataPreprocessor
from mmocr_da.models.layers import convert_batch_norm

GLOBAL = dict(type='mmocr_da.GlobalAlignment', in_channels=16, schedule='constant', weight=0.1)
LOCAL = dict(
    type='mmocr_da.LocalAlignment', in_channels=16, schedule='constant', weight=0.1, threshold=0.0
)
COMBINATIONS = [[], [GLOBAL], [LOCAL], [GLOBAL, LOCAL]]
SYMNET = dict(type='mmocr_da.SymNetHead', schedule='constant', weight=0.4)


@pytest.mark.parametrize('objectives', COMBINATIONS)
def test_supervised_loss_is_the_stock_recognizers(adaptive, recognizer_cfg, batch, objectives):
    """Batch norm sees both domains, so the comparison freezes it."""
    model = adaptive(*objectives)
    data = batch(('12', '3456'), targets=2)
    source = dict(inputs=data['inputs'][:2], data_samples=copy.deepcopy(data['data_samples'][:2]))
    stock = MMOCR_MODELS.build(recognizer_cfg())
    stock.load_state_dict(
        {k: v for k, v in model.state_dict().items() if not k.startswith('objectives')}, strict=True
    )
    for net in (model, stock.train()):
        for m in net.modules():
            if isinstance(m, torch.nn.BatchNorm2d):
                m.eval()
    torch.testing.assert_close(model.loss(**data)['loss_ce'], stock.loss(**source)['loss_ce'])


@pytest.mark.parametrize('reduction', ['none', 'mean', 'sum'])
def test_every_reduction_of_the_stock_loss_survives_the_early_stop(
    adaptive, recognizer_cfg, batch, reduction
):
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
    shuffled = dict(
        inputs=data['inputs'][mixed],
        data_samples=[copy.deepcopy(data['data_samples'][i]) for i in mixed],
    )
    a, b = model.loss(**data), model.loss(**shuffled)
    for key in ('loss_ce', 'loss_global', 'loss_local'):
        torch.testing.assert_close(a[key], b[key])


def test_everything_is_logged_and_only_losses_are_summed(adaptive, batch):
    model = adaptive(GLOBAL, LOCAL)
    losses = model.loss(**batch())
    total, log = model.parse_losses(losses)
    summed = sum(losses[k] for k in ('loss_ce', 'loss_global', 'loss_local'))
    torch.testing.assert_close(total, summed)
    extra = {
        f'{name}_{what}'
        for name in ('global', 'local')
        for what in ('lambda', 'acc_source', 'acc_target')
    }
    assert extra | {'local_gate_source', 'local_gate_target'} <= set(log)


@pytest.mark.parametrize('objectives', COMBINATIONS[1:])
@pytest.mark.parametrize('texts, targets', [(('12', '3'), 0), ((), 2), (('1',), 1)])
def test_a_missing_domain_is_zero_loss_and_every_parameter_has_a_gradient(
    adaptive, batch, objectives, texts, targets
):
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


def test_a_recognizer_that_would_learn_nothing_is_refused(adaptive):
    with pytest.raises(ValueError, match='leaves nothing to train'):
        adaptive(supervised_weight=0)
    with pytest.raises(ValueError, match="supervised_weight must be a number.*got 'abc'"):
        adaptive(LOCAL, supervised_weight='abc')


def test_a_character_feature_that_no_objective_looks_at_is_named(adaptive, monkeypatch):
    said = []
    monkeypatch.setattr('mmocr_da.arguments.print_log', lambda text, **_: said.append(text))
    adaptive(dict(LOCAL, in_channels=12), character_feature='hidden')
    assert said == []
    adaptive(GLOBAL, character_feature='hidden')
    assert "character_feature='hidden' has no effect" in said[0]


def test_without_objectives_untagged_data_is_source(adaptive, batch):
    model = adaptive()
    source, untagged = (batch(('12', '3'), targets=0) for _ in range(2))
    for s in untagged['data_samples']:
        s.set_metainfo(dict(domain=None))
    loss = model.loss(**untagged)['loss_ce']
    assert loss > 0 and torch.equal(loss, model.loss(**source)['loss_ce'])


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
    result = stock.load_state_dict(
        {k: v for k, v in model.state_dict().items() if not k.startswith('objectives')}, strict=True
    )
    assert not result.missing_keys
    data = batch(('12', '345'), targets=2)
    readings = (
        m.predict(data['inputs'], copy.deepcopy(data['data_samples'])) for m in (model, stock)
    )
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
def test_a_ctc_decoder_trains_with_global_alignment(
    adaptive, batch, digits_dictionary, texts, targets
):
    ctc = dict(
        type='CRNNDecoder',
        in_channels=16,
        rnn_flag=True,
        module_loss=dict(type='CTCModuleLoss'),
        postprocessor=dict(type='CTCPostProcessor'),
        dictionary=dict(digits_dictionary, with_start=False, with_end=False, same_start_end=False),
    )
    model = adaptive(GLOBAL, decoder=ctc, encoder=None)
    total, _ = model.parse_losses(model.loss(**batch(texts, targets)))
    total.backward()
    assert total.isfinite() and [n for n, p in model.named_parameters() if p.grad is None] == []


@pytest.fixture
def svtr(adaptive, digits_dictionary):
    """A tiny SVTR: no backbone, an encoder of images whose map has 6 channels and 4 columns."""

    def make(*objectives, **options):
        encoder = dict(
            type='SVTREncoder',
            img_size=[16, 32],
            in_channels=1,
            out_channels=6,
            embed_dims=[8] * 3,
            depth=[1] * 3,
            num_heads=[2] * 3,
            max_seq_len=4,
            mixer_types=['Local', 'Local', 'Global'],
            window_size=[[3, 3]] * 3,
        )
        decoder = dict(
            type='SVTRDecoder',
            in_channels=6,
            module_loss=dict(type='CTCModuleLoss'),
            postprocessor=dict(type='CTCPostProcessor'),
            dictionary=dict(
                digits_dictionary, with_start=False, with_end=False, same_start_end=False
            ),
        )
        return adaptive(
            *objectives, backbone=None, **{'encoder': encoder, 'decoder': decoder, **options}
        )

    return make


@pytest.mark.parametrize('pooling', ['mean', 'position', 'flatten'])
def test_without_a_backbone_the_map_of_the_encoder_is_aligned(svtr, batch, pooling):
    channels = 6 * 4 if pooling == 'flatten' else 6
    model = svtr(dict(GLOBAL, in_channels=channels, pooling=pooling), supervised_weight=0)
    losses = model.loss(**batch(('12', '34')))
    losses['loss_global'].backward()
    assert {k for k, p in model.encoder.named_parameters() if p.grad is None} == {
        'layer_norm.weight',
        'layer_norm.bias',
    }  # SVTR does without them
    assert model.encoder.patch_embed.net[0].conv.weight.grad.abs().sum() > 0
    with pytest.raises(ValueError, match='set in_channels=6'):
        svtr(dict(GLOBAL, in_channels=1)).loss(**batch(('12', '34')))


def test_padding_of_the_images_is_padding_of_the_encoders_map(svtr, batch):
    model = svtr(dict(GLOBAL, in_channels=6))
    data = batch(('12', '34'))
    for s, ratio in zip(data['data_samples'], (0.25, 0.5, 0.6, 1.0)):
        s.set_metainfo(dict(valid_ratio=ratio))
    seen = []
    model.objectives['global'].forward = lambda *halves: seen.extend(halves) or {}
    encoded = []
    model.encoder.register_forward_hook(lambda m, x, y: encoded.append(y))
    model.loss(**data)
    assert [half.valid_columns().sum(1).tolist() for half in seen] == [[1, 2], [3, 4]]
    assert torch.equal(torch.cat([half.feature_map for half in seen]), encoded[0])


def test_an_encoder_without_a_map_is_refused_where_there_is_no_backbone(svtr, batch):

    class Vectors(torch.nn.Module):
        def forward(self, images, samples):
            return images.mean((2, 3))

    model = svtr(GLOBAL)
    model.encoder = Vectors()
    model.decoder.forward_train = lambda feat, out_enc, samples: torch.zeros(2, 8, 13)
    with pytest.raises(ValueError, match=r'needs a feature map \(N.*returns neither a map'):
        model.loss(**batch(('12', '34')))
    with pytest.raises(ValueError, match='backbone or an encoder, got a .* with neither'):
        svtr(GLOBAL, encoder=None)


@pytest.mark.parametrize(
    'objective, width',
    [
        (dict(LOCAL, in_channels=12), 16),
        (dict(type='mmocr_da.DomainConfusion', in_channels=16), 12),
    ],
)
def test_a_wrong_width_of_characters_is_found_when_the_model_is_built(adaptive, objective, width):
    with pytest.raises(ValueError, match=f'set in_channels={width}'):
        adaptive(objective)


@pytest.mark.parametrize('decoder', ['ASTERDecoder', 'mmocr_da.AttentionDecoder'])
@pytest.mark.parametrize('character_feature', ['context', 'hidden'])
def test_the_width_that_is_asked_for_is_that_of_the_features(
    adaptive, batch, decoder, character_feature
):
    width = {'context': 16, 'hidden': 12}[character_feature]
    model = adaptive(
        dict(LOCAL, in_channels=width), decoder=decoder, character_feature=character_feature
    )
    assert model.loss(**batch())['loss_local'].isfinite()
    with pytest.raises(ValueError, match=f'set in_channels={width}'):
        adaptive(
            dict(LOCAL, in_channels=width + 1), decoder=decoder, character_feature=character_feature
        )


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
    model.objectives['global'].forward = lambda *halves: seen.extend(halves) or {}
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
            tagged = [
                model.predict(data['inputs'][:1], data['data_samples'][i : i + 1])[0]
                for i in (0, 2)
            ]  # the same image, as one of the source and of the target
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


@pytest.fixture
def parts(recognizer_cfg, digits_dictionary):
    """What makes a recognizer one of attention or of CTC."""

    def make(kind, **dictionary):
        if kind == 'attention':
            cfg = recognizer_cfg()
            cfg['decoder']['dictionary'] = dict(digits_dictionary, **dictionary)
            return dict(encoder=cfg['encoder'], decoder=cfg['decoder'])
        return dict(
            encoder=None,
            decoder=dict(
                type='CRNNDecoder',
                in_channels=16,
                rnn_flag=kind == 'ctc_rnn',
                module_loss=dict(type='CTCModuleLoss', zero_infinity=True),
                postprocessor=dict(type='CTCPostProcessor'),
                dictionary=dict(
                    digits_dictionary,
                    with_start=False,
                    with_end=False,
                    same_start_end=False,
                    **dictionary,
                ),
            ),
        )

    return make


@pytest.fixture
def plain(recognizer_cfg, parts):
    """The stock recognizer of a kind."""
    return lambda kind, **dictionary: MMOCR_MODELS.build(
        {**recognizer_cfg(), **parts(kind, **dictionary)}
    )


@pytest.fixture
def symnet(adaptive, parts):
    """A recognizer with two classifiers that differ."""

    def make(
        kind='attention',
        *more,
        same=False,
        supervised_weight=1.0,
        norm_statistics='joint',
        **options,
    ):
        torch.manual_seed(0)
        model = adaptive(
            dict(SYMNET, **options),
            *more,
            supervised_weight=supervised_weight,
            norm_statistics=norm_statistics,
            **parts(kind),
        )
        if not same:
            with torch.no_grad():
                for weight in (*own(model).parameters(), *twin(model).parameters()):
                    weight.normal_()
        return model

    return make


KINDS = ['attention', 'ctc', 'ctc_rnn']


def own(model):
    """C^s."""
    decoder = model.decoder
    return (
        decoder.fc
        if hasattr(decoder, 'fc')
        else decoder.decoder[1].embedding
        if decoder.rnn_flag
        else decoder.decoder
    )


def twin(model):
    """C^t."""
    return model.objectives['symnet'].classifier


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def texts(samples, field='pred_text'):
    return [s.get(field).item for s in samples]


def without_twin(weights):
    return {k: v for k, v in weights.items() if not k.startswith('objectives.')}


@pytest.mark.parametrize('how', ['torch', 'mmengine', 'wrapped'])
@pytest.mark.parametrize('kind', KINDS)
def test_a_stock_checkpoint_starts_c_t_as_a_copy_of_c_s(symnet, plain, tmp_path, kind, how):
    model, stock = symnet(kind), plain(kind)
    weights = stock.state_dict()
    keys = list(weights)
    if how == 'torch':
        model.load_state_dict(weights, strict=True)
    elif how == 'mmengine':
        torch.save(dict(state_dict=weights), tmp_path / 'stock.pth')
        load_checkpoint(model, str(tmp_path / 'stock.pth'), strict=True)
    else:
        wrapper = torch.nn.ModuleDict(dict(module=model))
        wrapper.load_state_dict({f'module.{k}': v for k, v in weights.items()}, strict=True)
    assert list(weights) == keys  # the caller's weights stay as they are
    assert same_weights(own(model), twin(model))
    for key, value in weights.items():
        assert torch.equal(model.state_dict()[key], value)
    with torch.no_grad():
        next(own(model).parameters()).add_(1)
    assert not same_weights(own(model), twin(model))


@pytest.mark.parametrize('how', ['torch', 'mmengine'])
@pytest.mark.parametrize('kind', KINDS)
def test_a_checkpoint_with_both_classifiers_comes_back_as_it_was(symnet, tmp_path, kind, how):
    model, other = symnet(kind), symnet(kind, same=True)
    assert not same_weights(own(model), twin(model))
    if how == 'torch':
        other.load_state_dict(model.state_dict(), strict=True)
    else:
        torch.save(dict(state_dict=model.state_dict()), tmp_path / 'own.pth')
        load_checkpoint(other, str(tmp_path / 'own.pth'), strict=True)
    assert same_weights(model, other)


@pytest.mark.parametrize('kind', KINDS)
def test_a_checkpoint_of_another_dictionary_is_refused(symnet, plain, tmp_path, kind):
    model = symnet(kind)
    weights = plain(kind, with_unknown=False).state_dict()
    classes = len(twin(model).bias)
    with pytest.raises(
        ValueError,
        match=r'same dictionary, got decoder\.\S*weight of shape '
        rf'\({classes - 1}, .*instead of \({classes}.*dict_file',
    ):
        model.load_state_dict(weights, strict=True)
    torch.save(dict(state_dict=weights), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='same dictionary'):
        load_checkpoint(model, str(tmp_path / 'other.pth'))
    weights = model.state_dict()
    weights['objectives.symnet.classifier.bias'] = torch.zeros(7)
    with pytest.raises(
        ValueError,
        match=r'objectives\.symnet\.classifier\.bias of shape \(7,\) '
        rf'instead of \({classes},\)',
    ):
        model.load_state_dict(weights)


@pytest.mark.parametrize('predict_with', ['source', 'target'])
@pytest.mark.parametrize('kind', KINDS)
def test_the_two_readings_are_those_of_two_plain_recognizers(
    symnet, plain, batch, kind, predict_with
):
    model = symnet(kind, predict_with=predict_with).eval()
    data = batch(('12', '345'), targets=6)
    read = model.predict(data['inputs'], copy.deepcopy(data['data_samples']))
    of = {}
    for domain, classifier in (('source', own(model)), ('target', twin(model))):
        stock = plain(kind)
        stock.load_state_dict(without_twin(model.state_dict()), strict=True)
        own(stock).load_state_dict(classifier.state_dict())
        of[domain] = stock.eval().predict(data['inputs'], copy.deepcopy(data['data_samples']))
        assert texts(read, f'pred_text_{domain}') == texts(of[domain])
    assert texts(of['source']) != texts(of['target'])
    for sample, wanted in zip(read, of[predict_with]):
        assert sample.pred_text.item == wanted.pred_text.item
        assert sample.pred_text.score == pytest.approx(wanted.pred_text.score)


@pytest.mark.parametrize('kind', KINDS)
def test_raw_output_in_testing_is_that_of_the_chosen_classifier(symnet, plain, batch, kind):
    inputs = batch(targets=2)['inputs']
    outputs = {}
    for predict_with in ('source', 'target'):
        model = symnet(kind, predict_with=predict_with).eval()
        stock = plain(kind)
        weights = model.plain_state_dict(model.state_dict())
        stock.load_state_dict(without_twin(weights), strict=True)
        chosen = dict(source=own, target=twin)[predict_with](model)
        assert same_weights(own(stock), chosen)
        outputs[predict_with] = model(inputs, mode='tensor')
        torch.testing.assert_close(outputs[predict_with], stock.eval()(inputs, mode='tensor'))
    assert not torch.allclose(outputs['source'], outputs['target'])


@pytest.mark.parametrize('kind', KINDS)
def test_predicting_leaves_the_recognizer_as_it_was(symnet, batch, kind):
    model = symnet(kind).eval()
    before, classifier = copy.deepcopy(model.state_dict()), own(model)
    model.predict(**batch())
    model(batch()['inputs'], mode='tensor')
    assert own(model) is classifier
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)


@pytest.mark.parametrize('kind', KINDS)
def test_training_does_not_ask_who_will_predict(symnet, batch, kind):
    losses = [symnet(kind, predict_with=domain).loss(**batch()) for domain in ('source', 'target')]
    assert losses[0].keys() == losses[1].keys()
    for key in losses[0]:
        assert torch.equal(losses[0][key], losses[1][key]), key


def test_e_task_of_both_classifiers_is_the_supervised_loss_of_an_attention_decoder(symnet, batch):
    """All are means over characters and end tokens; here C^t is a copy of C^s."""
    losses = symnet(supervised_weight=0.25, same=True).loss(**batch(('12', '1234567', '')))
    cross_entropy = losses['loss_ce'] / 0.25
    torch.testing.assert_close(losses['loss_symnet_task_source'] / 0.75, cross_entropy)
    torch.testing.assert_close(losses['loss_symnet_task_target'], cross_entropy)


@pytest.mark.parametrize('weight, own_weight', [(0, 1), (0.25, 0.75), (1, None), (2, None)])
def test_supervised_weight_says_what_is_left_to_e_task_of_the_source(
    symnet, batch, weight, own_weight
):
    full = symnet(supervised_weight=0).loss(**batch())['loss_symnet_task_source']
    losses = symnet(supervised_weight=weight).loss(**batch())
    assert ('loss_symnet_task_source' in losses) == (own_weight is not None)
    if own_weight is not None:
        torch.testing.assert_close(losses['loss_symnet_task_source'], own_weight * full)
    assert (losses['loss_ce'] == 0) == (weight == 0)


def of_the_target(losses):
    return {k: losses[f'loss_symnet_{k}'] for k in ('confusion', 'entropy')}


@pytest.mark.parametrize('labels, targets', [(('12', '3'), 0), ((), 2), (('12', '3'), 2)])
@pytest.mark.parametrize('kind', KINDS)
def test_symnet_of_a_missing_domain_is_zero_and_connected(symnet, batch, kind, labels, targets):
    """With both domains, the target has no character: none is read surely enough."""
    model = symnet(kind, same=True, supervised_weight=0.5, threshold=0.999)
    losses = model.loss(**batch(labels, targets))
    total, _ = model.parse_losses(losses)
    assert total.isfinite()
    if labels:
        assert losses['loss_symnet_category'] > 0 and losses['loss_symnet_domain'] > 0
    else:
        assert total == 0
    assert all(loss == 0 for loss in of_the_target(losses).values())
    total.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('kind', ['ctc', 'ctc_rnn'])
def test_a_target_that_is_read_as_nothing_but_blanks_has_nothing_to_compare(symnet, batch, kind):
    model = symnet(kind, same=True)
    with torch.no_grad():
        for classifier in (own(model), model.objectives['symnet'].classifier):
            classifier.bias[model.decoder.dictionary.padding_idx] += 100
    losses = model.loss(**batch())
    assert losses['loss_symnet_confusion'] == losses['loss_symnet_entropy'] == 0
    assert losses['symnet_acc_target'] == 0.5 and losses['symnet_target_length'] == 0
    assert losses['loss_symnet_domain'] > 0  # the source's part
    model.parse_losses(losses)[0].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('copied', ['deepcopy', 'file'])
@pytest.mark.parametrize('kind', KINDS)
def test_a_copy_has_a_twin_of_its_own(symnet, plain, batch, tmp_path, kind, copied):
    model = symnet(kind, LOCAL if kind == 'attention' else GLOBAL)
    if copied == 'deepcopy':
        other = copy.deepcopy(model)
    else:
        torch.save(model, tmp_path / 'model.pt')
        other = torch.load(tmp_path / 'model.pt', weights_only=False)
    assert same_weights(model, other)
    before = copy.deepcopy(model.state_dict())
    data = [batch() for _ in range(2)]
    losses = [m.loss(**d) for m, d in zip((model, other), data)]
    for key in losses[0]:
        assert torch.equal(losses[0][key], losses[1][key]), key
    # What happens to the copy happens to it alone: a step, and a stock checkpoint.
    other.parse_losses(losses[1])[0].backward()
    assert all(p.grad is None for p in model.parameters())
    other.load_state_dict(plain(kind).state_dict(), strict=False)
    assert same_weights(own(other), twin(other)) and not same_weights(own(model), twin(model))
    assert all(
        torch.equal(v, before[k])
        for k, v in model.state_dict().items()
        if 'running' not in k and 'num_batches' not in k
    )
    assert other.eval().predict(**batch())[0].pred_text_target is not None


def test_moving_averages_average_both_classifiers(symnet, plain, batch):
    model = symnet()
    average = ExponentialMovingAverage(model, momentum=0.25)
    first = {k: v.clone() for k, v in model.state_dict().items()}
    average.update_parameters(model)  # the first is a copy
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    average.update_parameters(model)
    for key, value in average.module.state_dict().items():
        if key.startswith('objectives.') or key.startswith('decoder.fc.'):
            torch.testing.assert_close(value, first[key] + 0.25)
    assert twin(average.module) is not twin(model)
    read = average.module.eval().predict(**batch())
    assert texts(read) == texts(read, 'pred_text_target')
    average.load_state_dict(
        {
            'steps': average.steps,
            **{f'module.{k}': v for k, v in plain('attention').state_dict().items()},
        },
        strict=True,
    )
    assert same_weights(own(average.module), twin(average.module))
    assert not same_weights(own(model), twin(model))


@pytest.mark.parametrize('statistics', ['joint', 'per_domain'])
def test_objectives_do_not_change_each_others_losses(symnet, adaptive, batch, statistics):
    mixed = symnet('attention', LOCAL, GLOBAL, norm_statistics=statistics)
    weights = mixed.state_dict()
    losses = mixed.loss(**batch())
    for objective in (SYMNET, LOCAL, GLOBAL):
        alone = adaptive(objective, norm_statistics=statistics)
        (name,) = alone.objectives
        alone.load_state_dict(
            {
                k: v
                for k, v in weights.items()
                if not k.startswith('objectives.') or k.startswith(f'objectives.{name}.')
            },
            strict=True,
        )
        for key, value in alone.loss(**batch()).items():
            torch.testing.assert_close(losses[key], value)
    mixed.parse_losses(losses)[0].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in mixed.parameters())


@pytest.mark.parametrize('place', [0, 1])
def test_where_in_the_list_symnet_stands_does_not_matter(adaptive, recognizer_cfg, batch, place):
    objectives = [GLOBAL]
    objectives.insert(place, SYMNET)
    model = adaptive(*objectives)
    stock = MMOCR_MODELS.build(recognizer_cfg())
    model.load_state_dict(stock.state_dict(), strict=False)
    assert same_weights(stock.decoder.fc, model.objectives['symnet'].classifier)
    with torch.no_grad():
        model.objectives['symnet'].classifier.weight.normal_()
    plain = model.plain_state_dict(model.state_dict())
    assert torch.equal(plain['decoder.fc.weight'], model.objectives['symnet'].classifier.weight)
    assert not torch.equal(plain['decoder.fc.weight'], model.decoder.fc.weight)


@pytest.mark.parametrize('kind', KINDS)
def test_symnet_in_half_precision_is_near_that_of_float32(symnet, batch, kind):
    model = symnet(kind, same=True, supervised_weight=0.5)
    full = model.loss(**batch())
    with torch.autocast('cpu', torch.bfloat16):
        half = model.loss(**batch())
    for key in full:
        if 'loss' in key:
            torch.testing.assert_close(half[key].float(), full[key], rtol=0.05, atol=0.05)
    model.parse_losses(half)[0].backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('kind', KINDS)
def test_the_twin_starts_as_a_copy_also_after_weights_are_initialized(symnet, kind):
    model = symnet(kind)
    model.init_weights()
    assert same_weights(own(model), model.objectives['symnet'].classifier)


def test_a_label_without_an_alignment_does_not_reach_the_loss_that_has_no_weight(symnet, batch):
    """The CTC loss is infinite there, and 0 times it is no number."""
    model = symnet('ctc', supervised_weight=0)
    losses = model.loss(**batch(('1' * 30, '2')))
    assert all(v.isfinite() for v in losses.values())


def test_initializing_again_does_not_undo_what_was_trained(symnet):
    model = symnet('ctc')
    model.init_weights()
    torch.nn.init.normal_(model.objectives['symnet'].classifier.weight)
    model.init_weights()
    assert not same_weights(own(model), model.objectives['symnet'].classifier)


def test_changing_one_reading_leaves_the_other(symnet, batch):
    model = symnet().eval()
    sample, *_ = model.predict(**batch())
    sample.pred_text.item = 'changed'
    assert sample.pred_text_target.item != 'changed'
