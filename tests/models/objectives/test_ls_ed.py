"""LS-ED as an objective of a recognizer."""

import copy

import editdistance
import pytest
import torch
from helpers.processes import run_ranks
from mmengine.optim import OptimWrapper
from mmengine.structures import LabelData
from mmocr.structures import TextRecogDataSample
from torch.nn.parallel import DistributedDataParallel

from mmocr_da.models.surrogates import EditDistanceSurrogate
from mmocr_da.registry import MODELS

SMALL = dict(channels=(8,) * 5, hidden_channels=16, out_channels=8, max_distance=4, warmup=0)


def lsed(weight=1.0, **surrogate):
    return dict(type='mmocr_da.LSEDLoss', weight=weight, surrogate={**SMALL, **surrogate})


def states(model):
    """Everything that is saved, of the recognizer and of the surrogate."""
    parts = ({}, {})
    for key, value in model.state_dict().items():
        parts[key.startswith('objectives.')][key] = value.clone()
    return parts


def equal(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


def step(model, data, optimizer):
    losses = model(**copy.deepcopy(data), mode='loss')
    total, log = model.parse_losses(losses)
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    return log


def test_the_surrogate_may_be_of_another_metric(adaptive, batch, progress):
    @MODELS.register_module(force=True)
    class AlwaysSeven(EditDistanceSurrogate):
        def metric(self, z, y):
            return torch.full((len(z),), 7.0)

    model = adaptive(lsed(type='mmocr_da.AlwaysSeven'))
    progress(1, 10)
    assert model.loss(**batch(targets=0))['lsed_ted'] == 7 * len(batch(targets=0)['inputs'])


@pytest.mark.parametrize('decoder', ['ASTERDecoder', 'mmocr_da.AttentionDecoder'])
@pytest.mark.parametrize('supervised_weight', [0, 1])
def test_each_iteration_trains_one_of_both(adaptive, batch, progress, decoder, supervised_weight):
    """Adam has momentum: a gradient of 0 would still move what it must not."""
    model = adaptive(lsed(), decoder=decoder, supervised_weight=supervised_weight)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    data = batch(targets=0)
    for iteration in range(6):
        progress(iteration, 10)
        before = states(model)
        log = step(model, data, optimizer)
        after = states(model)
        of_surrogate = iteration % 2 == 0
        assert equal(before[0], after[0]) == of_surrogate  # running statistics, too
        assert equal(before[1], after[1]) != of_surrogate
        shown = {k for k in log if 'loss_' in k}
        assert shown == (
            {'loss_lsed_fit', 'loss_lsed_gradient'} if of_surrogate else {'loss_ce', 'loss_lsed'}
        )
        assert (log.get('loss_ce', 0) > 0) == (supervised_weight > 0 and not of_surrogate)


def test_the_log_tells_what_the_surrogate_is_worth(adaptive, batch, progress):
    model = adaptive(lsed(), supervised_weight=0)
    data = batch(('12', '345', '6'), targets=0)
    progress(0, 10)
    log = model(**data, mode='loss')
    assert {'lsed_error_model', 'lsed_error_generated', 'lsed_rank_correlation'} <= set(log)
    progress(1, 10)
    model.eval()  # the same predictions again
    log = model(**data, mode='loss')
    predictions = model(data['inputs'], data['data_samples'], mode='predict')
    ted = sum(editdistance.eval(s.pred_text.item, s.gt_text.item) for s in predictions)
    assert log['lsed_ted'] == ted > 0
    latest = [x.item() for x in model.objectives['lsed'].surrogate.latest]
    assert latest == pytest.approx([log['lsed_estimated_ted'].item() / 3, ted / 3])
    assert log['loss_lsed'].item() == pytest.approx(latest[0])


def test_the_weight_is_a_factor(adaptive, batch, progress):
    progress(1, 10)
    losses = []
    for weight in (1.0, 3.0):
        torch.manual_seed(0)
        model = adaptive(lsed(weight), supervised_weight=0)
        losses.append(model(**batch(targets=0), mode='loss')['loss_lsed'].item())
    assert losses[1] == pytest.approx(3 * losses[0])


def test_images_need_no_domain(adaptive, batch, progress):
    """Post-tuning on labelled images is MMOCR's ordinary training."""
    progress(1, 10)
    data = batch(targets=0)
    for sample in data['data_samples']:
        del sample.domain
    model = adaptive(lsed(), supervised_weight=0)
    assert model(**data, mode='loss')['loss_lsed'].requires_grad


# --------------------------------------------------------------------------- both in one step


def losses_and_gradients(model, data, iteration, progress):
    """The losses of an iteration, and the gradients of all parameters; running statistics rest."""
    progress(iteration, 10)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    losses = model(**copy.deepcopy(data), mode='loss')
    model.parse_losses(losses)[0].backward()
    return losses, {k: p.grad for k, p in model.named_parameters()}


@pytest.mark.parametrize('decoder', ['ASTERDecoder', 'mmocr_da.AttentionDecoder'])
@pytest.mark.parametrize('supervised_weight', [0, 1])
def test_one_step_of_both_has_the_gradients_of_the_two_steps(
    adaptive, batch, progress, decoder, supervised_weight
):
    turns = dict(
        both=dict(alternate=False),
        surrogate=dict(surrogate_steps=1, model_steps=0),
        model=dict(surrogate_steps=0, warmup=1),
    )
    data = batch(('12', '345', '6'), targets=0, dtype=torch.float64)
    losses, gradients, start = {}, {}, None
    moved = dict(surrogate=False, model=False)
    for name, options in turns.items():
        model = adaptive(
            lsed(**options), decoder=decoder, supervised_weight=supervised_weight
        ).double()
        start = model.state_dict() if start is None else start
        model.load_state_dict(start)
        losses[name], gradients[name] = losses_and_gradients(model, data, 3, progress)
    for name, gradient in gradients['both'].items():
        part = 'surrogate' if name.startswith('objectives.') else 'model'
        torch.testing.assert_close(gradient, gradients[part][name], rtol=1e-12, atol=1e-14)
        moved[part] |= bool(gradient.any())
    assert moved == dict(surrogate=True, model=True)
    for name, value in {**losses['surrogate'], **losses['model']}.items():
        assert losses['both'][name].item() == pytest.approx(value.item(), rel=1e-12), name
    assert losses['both'].keys() == losses['surrogate'].keys() | losses['model'].keys()


def test_one_step_of_both_takes_one_pass_of_the_recognizer(adaptive, batch, progress):
    progress(0, 10)
    model = adaptive(lsed(alternate=False), supervised_weight=0)
    passes = []
    model.backbone.register_forward_hook(lambda *_: passes.append('forward'))
    model.backbone.register_full_backward_hook(lambda *_: passes.append('backward'))
    step(model, batch(targets=0), torch.optim.SGD(model.parameters(), 0.1))
    assert passes == ['forward', 'backward']


def test_after_the_warm_up_each_iteration_trains_both(adaptive, batch, progress):
    model = adaptive(lsed(alternate=False, warmup=2), supervised_weight=0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for iteration in range(4):
        progress(iteration, 10)
        before = states(model)
        step(model, batch(targets=0), optimizer)
        after = states(model)
        assert equal(before[0], after[0]) == (iteration < 2)
        assert not equal(before[1], after[1])


def test_several_steps_of_the_model_in_turn_with_one_of_the_surrogate(adaptive, batch, progress):
    model = adaptive(lsed(surrogate_steps=1, model_steps=3), supervised_weight=0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    trained = ''
    for iteration in range(8):
        progress(iteration, 10)
        before = states(model)
        step(model, batch(targets=0), optimizer)
        changed = [not equal(a, b) for a, b in zip(before, states(model))]
        assert sum(changed) == 1
        trained += 'MS'[changed[1]]
    assert trained == 'SMMMSMMM'


def test_accumulated_steps_of_both_train_as_one(adaptive, batch, progress):
    """Pairs are generated anew in each of them, so the surrogate learns locally here."""
    data = batch(('12', '345', '6', '78'), targets=0, dtype=torch.float64)
    found = []
    for parts in ([[0, 1, 2, 3]], [[0, 1], [2, 3]]):
        torch.manual_seed(0)
        model = adaptive(lsed(alternate=False, approximation='local'), supervised_weight=0).double()
        optimizer = OptimWrapper(
            torch.optim.SGD(model.parameters(), 0.1), accumulative_counts=len(parts)
        )
        optimizer.initialize_count_status(model, 0, len(parts))
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
        before = copy.deepcopy(model.state_dict())
        for iteration, rows in enumerate(parts):
            progress(iteration, 10)
            losses = model(**rows_of(data, rows), mode='loss')
            optimizer.update_params(model.parse_losses(losses)[0])
        found.append(model.state_dict())
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-9, atol=1e-12)
    moved = {k.startswith('objectives.') for k, v in before.items() if not v.equal(found[0][k])}
    assert moved == {True, False}


def rows_of(data, rows):
    samples = [data['data_samples'][i] for i in rows]
    return dict(inputs=data['inputs'][rows], data_samples=copy.deepcopy(samples))


def test_it_mixes_with_alignment(adaptive, batch, progress):
    align = dict(type='mmocr_da.LocalAlignment', in_channels=16, threshold=0.0)
    model = adaptive(lsed(), align)
    progress(0, 10)
    assert 'loss_local' not in model(**batch(), mode='loss')
    progress(1, 10)
    losses = model(**batch(), mode='loss')
    assert {'loss_ce', 'loss_lsed', 'loss_local'} <= set(losses)
    data = batch()
    del data['data_samples'][0].domain  # alignment does need it
    with pytest.raises(ValueError, match="needs domain='source' or 'target'"):
        model(**data, mode='loss')


def test_the_target_is_not_looked_at(adaptive, batch, progress):
    progress(1, 10)
    model = adaptive(lsed(), supervised_weight=0).eval()
    with_target, without = (model(**batch(targets=n), mode='loss') for n in (3, 0))
    torch.testing.assert_close(with_target['loss_lsed'], without['loss_lsed'])


@pytest.mark.parametrize('iteration, alternate', [(0, True), (1, True), (1, False)])
def test_a_batch_without_labels_is_a_connected_zero(
    adaptive, batch, progress, iteration, alternate
):
    progress(iteration, 10)
    model = adaptive(lsed(alternate=alternate), supervised_weight=0)
    total, log = model.parse_losses(model(**batch((), targets=2), mode='loss'))
    total.backward()
    assert log['loss'] == 0
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


@pytest.mark.parametrize('iteration, alternate', [(0, True), (1, True), (1, False)])
def test_amp(adaptive, batch, progress, iteration, alternate):
    progress(iteration, 10)
    model = adaptive(lsed(alternate=alternate), supervised_weight=0)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model(**batch(targets=0), mode='loss')
    values = {k: v for k, v in losses.items() if 'lsed' in k}
    assert all(v.dtype == torch.float32 and v.isfinite() for v in values.values())
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_ctc_is_refused(adaptive, digits_dictionary):
    ctc = dict(
        type='CRNNDecoder',
        in_channels=16,
        module_loss=dict(type='CTCModuleLoss'),
        postprocessor=dict(type='CTCPostProcessor'),
        dictionary=dict(digits_dictionary, with_start=False, with_end=False, same_start_end=False),
    )
    with pytest.raises(ValueError, match='LSEDLoss needs one step per character, got CRNNDecoder'):
        adaptive(lsed(), decoder=ctc)


@pytest.mark.parametrize('weight', [0, -1, float('nan')])
def test_a_weight_is_above_zero(weight):
    with pytest.raises(ValueError, match='weight must be a number above 0'):
        MODELS.build(lsed(weight))


def test_it_is_dropped_at_export(adaptive, recognizer_cfg):
    model = adaptive(lsed())
    plain = MODELS.build(recognizer_cfg())
    assert {k for k in model.state_dict() if not k.startswith('objectives.lsed.surrogate.')} == set(
        plain.state_dict()
    )


# --------------------------------------------------------------------------- several processes


def gradients(cfg, data, iteration, wrap):
    from mmengine.logging import MessageHub

    MessageHub.get_current_instance().update_info('iter', iteration)
    MessageHub.get_current_instance().update_info('max_iters', 10)
    torch.manual_seed(0)
    model = MODELS.build(cfg).train()
    for m in model.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.eval()
    forward = model
    if wrap:
        alone = model.objectives['lsed'].surrogate.alternate
        forward = DistributedDataParallel(model, find_unused_parameters=alone)
    total, _ = model.parse_losses(forward(**data, mode='loss'))
    total.backward()
    return {k: p.grad for k, p in model.named_parameters()}


def gradients_of_rank(rank, cfg, shares):
    return [gradients(cfg, shares[rank], iteration, wrap=True) for iteration in (0, 1)]


@pytest.mark.parametrize('alternate', [True, False])
def test_two_ranks_equal_one(recognizer_cfg, batch, alternate):
    """Of unequal shares; generated pairs differ by rank, so the surrogate learns locally here."""
    cfg = recognizer_cfg()
    cfg.update(
        type='mmocr_da.AdaptiveRecognizer',
        objectives=[lsed(approximation='local', alternate=alternate)],
        supervised_weight=0,
    )
    data = batch(('1', '23', '456789', '01234'), targets=0)
    rows = [[0], [1, 2, 3]]
    shares = [
        dict(inputs=data['inputs'][r], data_samples=[data['data_samples'][i] for i in r])
        for r in rows
    ]
    for iteration, two in enumerate(run_ranks(gradients_of_rank, cfg, shares)[0]):
        one = gradients(cfg, data, iteration, wrap=False)
        for name, grad in one.items():
            # None, not 0: the other part must not move.
            of_surrogate = name.startswith('objectives.')
            if alternate and of_surrogate != (iteration == 0):
                assert grad is None and two[name] is None, name
            else:
                torch.testing.assert_close(
                    two[name], grad, rtol=1e-4, msg=name, atol=1e-5 + 1e-4 * grad.abs().max().item()
                )


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    'name',
    [
        'aster/aster_resnet45_6e_st_mj',
        'nrtr/nrtr_modality-transform_6e_st_mj',
        'master/master_resnet31_12e_st_mj_sa',
        'abinet/abinet-vision_20e_st-an_mj',
        'abinet/abinet_20e_st-an_mj',
        'robust_scanner/robustscanner_resnet31_5e_st-sub_mj-sub_sa_real',
        'sar/sar_resnet31_parallel-decoder_5e_st-sub_mj-sub_sa_real',
        'sar/sar_resnet31_sequential-decoder_5e_st-sub_mj-sub_sa_real',
    ],
)
def test_it_tunes_every_recognizer_of_mmocr_with_a_step_per_character(
    name, mmocr_recognizer, progress
):
    cfg = mmocr_recognizer(name)
    cfg.update(type='mmocr_da.AdaptiveRecognizer', objectives=[lsed()])
    model = MODELS.build(cfg).train()
    samples = [
        TextRecogDataSample(gt_text=LabelData(item=text), metainfo=dict(valid_ratio=1.0))
        for text in ('word', '7')
    ]
    height, width = (32, 100) if 'nrtr' in name else (48, 64) if 'sar' in name else (32, 128)
    data = dict(inputs=torch.randn(2, 3, height, width), data_samples=samples)
    for iteration in (0, 1):
        progress(iteration, 10)
        losses = model(**data, mode='loss')
        assert all(v.isfinite().all() for v in losses.values() if v is not None)
        assert ('loss_lsed' in losses) == (iteration == 1)
    losses['loss_lsed'].backward()
    own = [p.grad for k, p in model.named_parameters() if k.startswith('decoder.')]
    assert any(g is not None and g.any() for g in own)
    assert all(p.grad is None for p in model.objectives.parameters())
