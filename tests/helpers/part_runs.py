"""Runs of a tiny model of two parts, for hooks that export or freeze one of them."""

import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn


class Net(BaseModel):
    """Convolution, norm and dropout as backbone, a decoder, and a head that is thrown away."""

    encoder_modules = ('backbone',)

    def __init__(self, norm=nn.BatchNorm2d):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(1, 3, 2), norm(3), nn.Dropout(0.5))
        self.decoder = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1))
        self.backbone_of_another = nn.Linear(1, 1)
        self.modes = []

    def forward(self, inputs, mode='tensor'):
        if mode == 'predict':
            return inputs
        self.modes.append((self.training, self.backbone[1].training, self.backbone[2].training))
        head = self.backbone_of_another.weight.sum() + self.backbone_of_another.bias.sum()
        features = self.decoder(self.backbone(torch.stack(inputs)))
        return dict(loss=(features.square().mean() - 2).square() + head.square())


def collate(items):
    return dict(inputs=items)


def make_runner(work_dir, hooks, model=None, max_iters=4, train_cfg=None, **kwargs):
    torch.manual_seed(3)
    data = dict(
        dataset=[torch.randn(1, 4, 4) for _ in range(8)],
        batch_size=2,
        num_workers=0,
        sampler=dict(type=kwargs.pop('sampler', 'InfiniteSampler'), shuffle=False),
        collate_fn=collate,
    )
    checkpoint = dict(type='CheckpointHook', interval=2, by_epoch=False)
    checkpoint.update(kwargs.pop('checkpoint', {}))
    return Runner(
        model or Net(),
        str(work_dir),
        train_dataloader=data,
        train_cfg=train_cfg or dict(type='IterBasedTrainLoop', max_iters=max_iters),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.1)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1), checkpoint=checkpoint),
        log_processor=dict(by_epoch=False),
        custom_hooks=hooks,
        default_scope='mmocr',
        experiment_name=f'{work_dir.parent.name} {work_dir.name}',
        **kwargs,
    )


def weights_of(path):
    return torch.load(path, weights_only=True)['state_dict']


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
