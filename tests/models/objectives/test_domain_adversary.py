"""Two processes with half the batch each give the gradients of one with the whole batch."""

import pytest
import torch
import torch.distributed as dist
from helpers.characters import character_features
from helpers.processes import run_ranks
from torch.nn.parallel import DistributedDataParallel

from mmocr_da.models.objectives import DomainFeatures, LocalAlignment
from mmocr_da.models.objectives.domain_adversary import mean_per_image
from mmocr_da.registry import MODELS


def halves(images):
    """Both domains, restricted to some images; the gate falls unevenly over the images."""
    generator = torch.Generator().manual_seed(3)
    out = []
    for _ in range(2):
        features = torch.randn(4, 3, 5, generator=generator)
        logits = torch.randn(4, 3, 6, generator=generator)
        logits[0] = 0  # nothing passes in the first image
        logits[1, 0] *= 9
        valid = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 1], [1, 1, 0]]).bool()
        out.append(
            DomainFeatures(
                torch.zeros(len(images), 1, 1, 1),
                None,
                torch.ones(len(images)),
                character_features(features[images], logits[images], valid[images]),
            )
        )
    return out


def alignment_gradients(average, images):
    torch.manual_seed(0)
    module = LocalAlignment(5, threshold=0.35, average=average, schedule='constant')
    module(*halves(images))['loss_local'].backward()
    return [p.grad for p in module.parameters()]


def recognizer_gradients(cfg, data, wrap):
    """Supervised loss, global and local alignment together; batch norm by running statistics."""
    torch.manual_seed(0)
    model = MODELS.build(cfg).train()
    for m in model.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.eval()
    forward = DistributedDataParallel(model) if wrap else model
    losses = forward(**data, mode='loss')
    model.parse_losses(losses)[0].backward()
    return [p.grad for p in model.parameters()]


def gradients_of_rank(rank, cfg, shares):
    grads = {}
    for average in ('image', 'character'):
        grads[average] = alignment_gradients(average, [[0, 1], [2, 3]][rank])
        for g in grads[average]:  # what DDP does
            dist.all_reduce(g)
            g /= 2
    for case, share in shares.items():
        grads[case] = recognizer_gradients(cfg, share[rank], wrap=True)
    return grads


ASSDA = [
    dict(type='mmocr_da.GlobalAlignment', in_channels=16, schedule='constant'),
    dict(type='mmocr_da.LocalAlignment', in_channels=16, schedule='constant', threshold=0),
]


def symnet(width):
    """SymNet and its baselines, for a classifier that many channels wide."""
    return [
        dict(type='mmocr_da.SymNetHead', schedule='constant'),
        dict(type='mmocr_da.DomainConfusion', in_channels=width, schedule='constant'),
        dict(type='mmocr_da.EntropyMinimization', schedule='constant'),
    ]


# Without the supervised loss where there are others enough: it would hide an error of them.
@pytest.mark.parametrize(
    'objectives, supervised_weight, ctc',
    [(ASSDA, 1, False), (symnet(12), 0, False), (symnet(16), 0, True)],
    ids=['ASSDA', 'SymNet', 'SymNet on CTC'],
)
def test_two_ranks_equal_one(
    recognizer_cfg, digits_dictionary, batch, objectives, supervised_weight, ctc
):
    cfg = recognizer_cfg()
    cfg.update(
        type='mmocr_da.AdaptiveRecognizer',
        objectives=objectives,
        supervised_weight=supervised_weight,
    )
    if ctc:
        cfg.update(
            encoder=None,
            decoder=dict(
                type='CRNNDecoder',
                in_channels=16,
                module_loss=dict(type='CTCModuleLoss'),
                postprocessor=dict(type='CTCPostProcessor'),
                dictionary=dict(
                    digits_dictionary, with_start=False, with_end=False, same_start_end=False
                ),
            ),
        )
    # Labels of very different lengths: a mean per rank would weigh their characters unequally.
    data = batch(('1', '23', '456789', '01234'), targets=4)
    samples = data['data_samples']
    splits = {
        'both domains on each': ([0, 1, 4, 5], [2, 3, 6, 7]),
        'one domain on each': ([0, 1, 2, 3], [4, 5, 6, 7]),
    }
    shares = {
        case: [
            dict(inputs=data['inputs'][rows], data_samples=[samples[i] for i in rows])
            for rows in split
        ]
        for case, split in splits.items()
    }
    two = run_ranks(gradients_of_rank, cfg, shares)[0]
    one = {a: alignment_gradients(a, [0, 1, 2, 3]) for a in ('image', 'character')}
    one.update(dict.fromkeys(splits, recognizer_gradients(cfg, data, wrap=False)))
    for case, grads in one.items():
        for a, b in zip(two[case], grads):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=lambda m: f'{case}: {m}')
    assert any(g.abs().sum() > 0 for g in one['one domain on each'])


def test_weights_of_an_image_add_up_to_one_or_nothing():
    mask = torch.rand(50, 6) > 0.7
    total = mean_per_image(mask).sum(1)
    torch.testing.assert_close(total, mask.any(1).float())
