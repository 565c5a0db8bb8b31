"""LS-ED as an objective of a recognizer."""

import copy

import editdistance
import pytest
import torch
from helpers.processes import run_ranks
from mmengine.structures import LabelData
from mmocr.structures import TextRecogDataSample
from torch.nn.parallel import DistributedDataParallel

from mmocr_da.models.surrogates import EditDistanceSurrogate
from mmocr_da.registry import MODELS

SMALL = dict(channels=(8,) * 5, hidden_channels=16, out_channels=8, max_distance=4)


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


@pytest.mark.parametrize('iteration', [0, 1])
def test_a_batch_without_labels_is_a_connected_zero(adaptive, batch, progress, iteration):
    progress(iteration, 10)
    model = adaptive(lsed(), supervised_weight=0)
    total, log = model.parse_losses(model(**batch((), targets=2), mode='loss'))
    total.backward()
    assert log['loss'] == 0
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


@pytest.mark.parametrize('iteration', [0, 1])
def test_amp(adaptive, batch, progress, iteration):
    progress(iteration, 10)
    model = adaptive(lsed(), supervised_weight=0)
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
        forward = DistributedDataParallel(model, find_unused_parameters=True)
    total, _ = model.parse_losses(forward(**data, mode='loss'))
    total.backward()
    return {k: p.grad for k, p in model.named_parameters()}


def gradients_of_rank(rank, cfg, shares):
    return [gradients(cfg, shares[rank], iteration, wrap=True) for iteration in (0, 1)]


def test_two_ranks_equal_one(recognizer_cfg, batch):
    """Of unequal shares; generated pairs differ by rank, so the surrogate learns locally here."""
    cfg = recognizer_cfg()
    cfg.update(
        type='mmocr_da.AdaptiveRecognizer',
        objectives=[lsed(approximation='local')],
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
            if of_surrogate != (iteration == 0):
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
