"""Which checkpoints a model starts from, and what is said of those that it does not."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from mmocr_da.engine import checkpoint_fit as fit
from mmocr_da.registry import MODELS

PREFIXES = ('model.', 'student.', 'encoder_q.', 'module.student.')
ALIGNMENT = dict(type='mmocr_da.GlobalAlignment', in_channels=16)


@pytest.fixture
def model(adaptive):
    return adaptive(ALIGNMENT)


@pytest.fixture
def plain(recognizer_cfg):
    """Weights of the recognizer without objectives."""
    return MODELS.build(recognizer_cfg()).state_dict()


def checkpoint(weights, prefix='', **meta):
    return dict(state_dict={prefix + key: value for key, value in weights.items()}, meta=meta)


def only(weights, *parts):
    return {key: value for key, value in weights.items() if key.split('.')[0] in parts}


def test_an_adaptation_starts_from_a_plain_recognizer_and_gets_its_weights(model, plain):
    for prefix in ('', 'module.'):
        assert fit.check_start(model, checkpoint(plain, prefix), 'load_from') == []
    assert fit.check_start(model, plain, 'load_from') == []  # a bare state_dict
    ours = model.state_dict()
    assert all(torch.equal(ours[key], value) for key, value in plain.items())


@pytest.mark.parametrize('prefix', PREFIXES)
def test_a_foreign_prefix_is_an_error_that_shows_both_keys_and_the_way(model, plain, prefix):
    with pytest.raises(ValueError) as error:
        fit.check_start(model, checkpoint(plain, prefix), "load_from ('x.pth')")
    text = str(error.value)
    first = next(iter(plain))
    for part in (
        "load_from ('x.pth') must have the weights of the AdaptiveRecognizer",
        '0 of 65 of backbone',
        '0 of 16 of encoder',
        '0 of 13 of decoder',
        f'the model has {first} (8, 1, 3, 3), the checkpoint has '
        f'{prefix.removeprefix("module.")}{first} (8, 1, 3, 3)',
        f'prefix={prefix!r}), without load_from',
        "new_parts=['backbone', 'encoder', 'decoder']",
    ):
        assert part in text
    # The advice works.
    model.init_cfg = dict(type='Pretrained', checkpoint='unused', prefix=prefix)
    stripped = fit._without_prefix(checkpoint(plain, prefix), prefix)
    assert fit.check_start(model, stripped, 'init_cfg') == []


def test_weights_under_another_name_are_found(model, plain):
    with pytest.raises(ValueError, match=r"its weights are under 'model', .*checkpoint\['model'\]"):
        fit.check_start(model, dict(model=plain, optimizer=dict(lr=1)), 'load_from')


def test_weights_of_a_part_alone_are_told_where_they_belong(model, plain):
    backbone = {
        key.removeprefix('backbone.'): value for key, value in only(plain, 'backbone').items()
    }
    with pytest.raises(ValueError, match="the weights of 'backbone' alone: load it by init_cfg"):
        fit.check_start(model, dict(state_dict=backbone), 'load_from')


@pytest.mark.parametrize('parts', [('backbone',), ('backbone', 'encoder')])
def test_a_checkpoint_of_some_parts_is_fine_if_all_of_it_is_used(model, plain, parts):
    weights = only(plain, *parts)
    assert fit.check_start(model, checkpoint(weights), 'load_from') == []
    # With what SeqCLR learns beside the encoder, too.
    weights['projection.0.weight'] = torch.ones(1)
    assert fit.check_start(model, checkpoint(weights), 'load_from') == []
    # But a decoder of another name was meant for the decoder.
    weights['prediction.weight'] = torch.ones(1)
    with pytest.raises(ValueError, match='got .*0 of 13 of decoder.*prediction.weight'):
        fit.check_start(model, checkpoint(weights), 'load_from')


def test_an_exported_encoder_says_which_modules_it_holds(adaptive, plain):
    """It may have more than the model, which has no encoder here; not less than it says."""
    model = adaptive(encoder=None)
    weights = only(plain, 'backbone', 'encoder')
    marked = checkpoint(weights, modules=['backbone', 'encoder'])
    assert fit.check_start(model, marked, 'load_from') == []
    with pytest.raises(ValueError, match='got 0 of 13 of decoder'):
        fit.check_start(model, checkpoint(weights), 'load_from')
    marked['state_dict'] = only(plain, 'encoder')
    with pytest.raises(ValueError, match='got 0 of 65 of backbone'):
        fit.check_start(model, marked, 'load_from')


def test_parts_may_be_named_that_start_without_the_checkpoint(model, plain):
    weights = {**only(plain, 'backbone', 'encoder'), 'prediction.weight': torch.ones(1)}
    for new_parts in ('decoder', ['decoder']):
        assert fit.check_start(model, checkpoint(weights), 'load_from', new_parts) == []
    with pytest.raises(
        ValueError,
        match="must name modules of the .*, got 'decodr'; its parts "
        'are backbone, encoder, decoder, objectives',
    ):
        fit.check_start(model, checkpoint(weights), 'load_from', 'decodr')
    # Nothing at all is no start, whatever is new.
    with pytest.raises(ValueError, match='got none of them'):
        fit.check_start(
            model, checkpoint(plain, 'x.'), 'load_from', ['backbone', 'encoder', 'decoder']
        )


def test_another_shape_needs_the_setting(model, plain):
    """Another alphabet: two weights of thirteen."""
    for key in ('decoder.fc.weight', 'decoder.fc.bias'):
        plain[key] = torch.cat([plain[key], plain[key]])
    with pytest.raises(
        ValueError,
        match=r'got 11 of 13 of decoder: decoder.fc.weight is '
        r'\(13, 12\) in the model and \(26, 12\) in the checkpoint, also '
        r"decoder.fc.bias. .*new_parts=\['decoder'\]",
    ):
        fit.check_start(model, checkpoint(plain), 'load_from')
    for new_parts in ('decoder', 'decoder.fc'):
        assert fit.check_start(model, checkpoint(plain), 'load_from', new_parts) == []


def test_a_few_missing_weights_are_returned(model, plain):
    key = 'encoder.bilstm.bias_hh_l0'
    plain['encoder.of_another_version'] = plain.pop(key)
    assert fit.check_start(model, checkpoint(plain), 'load_from') == [key]


def test_half_a_part_is_too_few(adaptive, plain):
    model = adaptive()
    keys = list(only(plain, 'decoder'))
    for i, key in enumerate(keys):
        plain[f'other.{key}'] = plain.pop(key)
        enough = 2 * (i + 1) <= len(keys)
        if enough:
            assert fit.check_start(model, checkpoint(plain), 'load_from') == keys[: i + 1]
    with pytest.raises(ValueError, match=r'got 0 of 13 of decoder'):
        fit.check_start(model, checkpoint(plain), 'load_from')


def test_the_parts_of_a_wrapped_detector_are_its_own():
    wrapper = nn.Module()
    wrapper.wrapped_model = nn.ModuleDict(dict(backbone=nn.Linear(1, 1), neck=nn.Linear(1, 2)))
    weights = {
        key.removeprefix('wrapped_model.'): value for key, value in wrapper.state_dict().items()
    }
    with pytest.raises(
        ValueError,
        match='got 0 of 2 of wrapped_model.backbone, 0 of 2 of '
        "wrapped_model.neck.*the weights of 'wrapped_model' alone",
    ):
        fit.check_start(wrapper, dict(state_dict=weights), 'load_from')


@pytest.mark.parametrize('zipped', [True, False])
def test_pretrained_files_are_checked_too(adaptive, plain, tmp_path, zipped):
    model = adaptive()
    path = str(tmp_path / 'backbone.pth')
    weights = {
        key.removeprefix('backbone.'): value for key, value in only(plain, 'backbone').items()
    }
    torch.save(
        dict(weights, **{'fc.weight': torch.ones(2)}), path, _use_new_zipfile_serialization=zipped
    )
    model.backbone.init_cfg = dict(type='Pretrained', checkpoint=path)
    fit.check_pretrained(model)
    torch.save({f'q.{key}': value for key, value in weights.items()}, path)
    with pytest.raises(
        ValueError,
        match=r'the init_cfg of backbone \(.*backbone.pth.\) must .*0 '
        r"of 65 of backbone.*model.backbone.init_cfg=.*prefix='q.'\)\. If",
    ):
        fit.check_pretrained(model)
    model.backbone.init_cfg = [
        dict(type='Kaiming', layer='Conv2d'),
        dict(type='Pretrained', checkpoint=path, prefix='q'),
    ]
    fit.check_pretrained(model)
    model.backbone.init_cfg = dict(type='Pretrained', checkpoint='https://no.such/file.pth')
    fit.check_pretrained(model)


def test_a_model_is_tested_with_all_of_its_weights(adaptive, plain):
    model = adaptive(ALIGNMENT)
    fit.check_whole(model, checkpoint(plain), 'the checkpoint')
    key = 'decoder.fc.bias'
    misfit = {**plain, key: torch.ones(3)}
    with pytest.raises(ValueError, match=f'without 1 of .* would be random: {key} is'):
        fit.check_whole(model, checkpoint(misfit), 'the checkpoint')
    del plain[key]
    with pytest.raises(ValueError, match=f'without 1 of .* would be random: the model has {key}'):
        fit.check_whole(model, checkpoint(plain), 'the checkpoint')
    # MMOCR's older checkpoints may lack a constant.
    model.decoder.register_buffer('constant', torch.ones(1))
    plain[key] = torch.ones(13)
    fit.check_whole(model, checkpoint(plain), 'the checkpoint')


def test_a_model_is_tested_with_the_statistics_of_its_norms(model, plain):
    """Those that a checkpoint of ``named_parameters()`` lacks."""
    key = 'backbone.stem_layers.0.bn.running_mean'
    learned = {name: plain[name] for name, _ in model.named_parameters() if name in plain}
    some_lack = {name: value for name, value in plain.items() if name != key}
    misfit = {**plain, key: torch.ones(3)}
    for weights, found in (
        (learned, f'without 26 of them: the model has {key} '),
        (some_lack, f'without 1 of them: the model has {key} '),
        (misfit, f'without 1 of them: {key} is .8,. in the model and .3,. in the checkpoint'),
    ):
        with pytest.raises(ValueError, match=f'running statistics .* {found}.*model.state_dict'):
            fit.check_whole(model, checkpoint(weights), 'x.pth')
    # What training alone has may lack them.
    model.contrastive_loss = nn.BatchNorm1d(2)
    fit.check_whole(model, checkpoint(plain), 'x.pth')


@pytest.mark.parametrize('prefix', PREFIXES)
@pytest.mark.parametrize('nested', [True, False])
def test_keys_with_another_prefix_are_renamed_by_the_line_in_the_error(
    model, plain, prefix, nested, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = str(tmp_path / 'wrapped.ckpt')
    weights = {prefix + key: value for key, value in plain.items()} | {'loss.w': torch.ones(1)}
    torch.save(dict(state_dict=weights) if nested else weights, path)
    with pytest.raises(ValueError, match='and give wrapped_renamed.pth$') as error:
        fit.check_whole(model, torch.load(path), path)
    assert 'init_cfg' not in str(error.value)
    exec(str(error.value).split('python -c "')[1].split('"')[0])
    renamed = torch.load('wrapped_renamed.pth')
    assert renamed['state_dict'].keys() == plain.keys()
    fit.check_whole(model, renamed, 'wrapped_renamed.pth')


def test_norms_without_a_counter_and_versions_of_layers_are_no_difference(model, plain):
    weights = OrderedDict(
        (key, value) for key, value in plain.items() if not key.endswith('num_batches_tracked')
    )
    weights._metadata = plain._metadata
    assert fit.check_start(model, dict(state_dict=weights), 'load_from') == []
    fit.check_whole(model, dict(state_dict=weights), 'the checkpoint')


@pytest.mark.parametrize('check', [fit.check_whole, fit.check_start])
def test_open_gates_need_batch_instance_norm(model, plain, check):
    key = 'backbone.stem_layers.0.bn.rho'
    assert key.replace('rho', 'weight') in plain
    check(model, checkpoint(plain | {key: torch.ones(8)}), 'the checkpoint')
    open_gate = checkpoint(plain | {key: torch.tensor([1.0, 0.5])})
    with pytest.raises(ValueError, match=f'has batch-instance norm .{key}.*WithBIN'):
        check(model, open_gate, 'the checkpoint')


@pytest.mark.parametrize(
    'objective, left',
    [
        (dict(type='mmocr_da.SelfTraining'), ['the teacher of self_training']),
        (dict(type='mmocr_da.SymNetHead'), ['the classifier of the target of symnet']),
        (ALIGNMENT, []),
    ],
)
def test_what_predicted_in_the_training_is_named(adaptive, plain, objective, left):
    trained = adaptive(objective)
    of_training = checkpoint(trained.state_dict())
    assert fit.predictors_left_behind(adaptive(ALIGNMENT), of_training) == left
    assert fit.predictors_left_behind(trained, of_training) == []
    assert fit.predictors_left_behind(trained, checkpoint(plain)) == []
