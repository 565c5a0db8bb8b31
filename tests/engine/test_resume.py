"""What a resumed run says when its config is not that of its checkpoint."""

import pytest
import torch
from mmengine.config import Config

from mmocr_da.engine import resume


def log_of(work_dir):
    return '\n'.join(path.read_text() for path in work_dir.glob('*/*.log'))


@pytest.fixture
def resumed(toy, trained, run_tool, tmp_path):
    """Resumes the toy with other settings; returns the log."""

    def resume(*options, checkpoint=trained / 'iter_2.pth'):
        run_tool(
            'train',
            toy,
            '--work-dir',
            tmp_path / 'run',
            '--resume',
            checkpoint,
            '--cfg-options',
            f'experiment_name={tmp_path.name}',
            'train_cfg.max_iters=3',
            *options,
        )
        assert (tmp_path / 'run' / 'iter_3.pth').exists()
        return log_of(tmp_path / 'run')

    return resume


@pytest.mark.parametrize(
    'option, message',
    [
        (
            'model.objectives=[]',
            r"--resume needs the model that was trained, got '.*iter_2.pth' of another: only in "
            r'the checkpoint: objectives\..* and 3 more. Changed settings: model.objectives: '
            r'.*GlobalAlign.* -> \[\]. To go on .* set load_from=',
        ),
        ('model.decoder.attn_dims=5', 'of another shape: decoder.proj_feat.weight'),
        (
            'optim_wrapper.optimizer.type=Adam',
            "optimizer that was trained with.*optim_wrapper.optimizer.type: 'SGD' -> 'Adam'.*"
            'load_from=',
        ),
        (
            'train_cfg.max_iters=1',
            'max_iters must be at least the 2 iters that .* got 1: there is nothing to do',
        ),
    ],
)
def test_what_cannot_be_resumed_is_an_error_that_says_what_changed(resumed, option, message):
    with pytest.raises(ValueError, match=message):
        resumed(option)


def test_settings_without_effect_and_those_with_one_are_named(resumed):
    log = resumed(
        'optim_wrapper.optimizer.lr=0.5',
        'train_dataloader.batch_size=2',
        'train_dataloader.sampler.batch_size=2',
        'train_dataloader.pin_memory=False',
        'optim_wrapper.clip_grad.max_norm=5',
        'model.supervised_weight=0.5',
    )
    assert 'have NO effect: optim_wrapper.optimizer.lr: 0.1 -> 0.5. To go on' in log
    (changes,) = (line for line in log.splitlines() if 'these settings differ from' in line)
    for change in (
        'model.supervised_weight: nothing -> 0.5',
        'train_dataloader.batch_size: 4 -> 2',
        'train_dataloader.sampler.batch_size: 4 -> 2',
        'optim_wrapper.clip_grad: ',
    ):
        assert change in changes
    assert 'pin_memory' not in changes


def test_the_same_config_is_resumed_without_a_word(resumed):
    log = resumed()
    assert 'NO effect' not in log and 'settings differ' not in log


def test_an_older_checkpoint_is_resumed(resumed, trained, tmp_path):
    """It has no names of the optimizer's parameters; others have no config, either."""
    checkpoint = torch.load(trained / 'iter_2.pth', weights_only=True)
    del checkpoint['meta']['optimizer_parameters'], checkpoint['meta']['cfg']
    torch.save(checkpoint, tmp_path / 'old.pth')
    resumed('optim_wrapper.optimizer.lr=0.5', checkpoint=tmp_path / 'old.pth')


def test_a_finished_run_says_that_there_is_nothing_to_do(toy, trained, run_tool, tmp_path):
    run_tool(
        'train',
        toy,
        '--work-dir',
        tmp_path / 'run',
        '--resume',
        trained / 'iter_2.pth',
        '--cfg-options',
        f'experiment_name={tmp_path.name}',
    )
    assert (
        'iter_2.pth was trained for 2 iters, and train_cfg.max_iters is 2. Raise it to train on'
        in log_of(tmp_path / 'run')
    )


def test_epochs_of_mmengines_loop_are_counted_too(monkeypatch):
    said = []
    monkeypatch.setattr(resume, '_warn', said.append)
    for done in (1, 2):
        resume._check_length(
            dict(meta=dict(epoch=done, iter=9)), Config(dict(train_cfg=dict(max_epochs=2))), 'x.pth'
        )
    assert said == [
        'Nothing to do: x.pth was trained for 2 epochs, and train_cfg.max_epochs is 2. '
        'Raise it to train on'
    ]


def train(names, steps, optimizer_type, state=None, saved=None):
    """Steps of a net whose layers are listed in this order; the weights, and the optimizer."""
    torch.manual_seed(0)
    layers = dict(a=torch.nn.Linear(3, 3), b=torch.nn.Linear(3, 3))
    net = torch.nn.ModuleDict({name: layers[name] for name in names})
    optimizer = optimizer_type(net.parameters(), lr=0.1)
    groups = resume.parameters_by_group(optimizer, net)
    if state is not None:
        net.load_state_dict(state[0])
        resume.align_optimizer(state[1], saved, groups, 'x.pth')
        optimizer.load_state_dict(state[1])
    for i in range(steps):
        optimizer.zero_grad()
        (net['b'](net['a'](torch.full((1, 3), 2.0))).square().sum()).backward()
        optimizer.step()
    return (net.state_dict(), optimizer.state_dict()), groups


@pytest.mark.parametrize('order', ['ab', 'ba'])
def test_the_optimizer_follows_its_parameters_to_another_order(order):
    state, saved = train('ab', 2, torch.optim.Adam)
    straight, _ = train('ab', 4, torch.optim.Adam)
    resumed, groups = train(order, 2, torch.optim.Adam, state, saved)
    assert groups[0][0] == f'{order[0]}.weight'
    assert all(torch.equal(resumed[0][key], value) for key, value in straight[0].items())


def test_groups_of_equal_settings_become_one():
    straight, groups = train('ab', 4, torch.optim.Adam)
    (weights, state), _ = train('ab', 2, torch.optim.Adam)
    [group] = state['param_groups']
    state['param_groups'] = [dict(group, params=[i]) for i in group['params']]
    resumed, _ = train('ba', 2, torch.optim.Adam, (weights, state), [[n] for n in groups[0]])
    assert all(torch.equal(resumed[0][key], value) for key, value in straight[0].items())


def test_groups_of_different_settings_stay_apart():
    (_, state), [names] = train('ab', 1, torch.optim.Adam)
    [group] = state['param_groups']
    state['param_groups'] = [dict(group, params=[i], lr=i + 1) for i in group['params']]
    with pytest.raises(ValueError, match=r'groups of \[1, 1, 1, 1\] parameters against \[4\]'):
        resume.align_optimizer(state, [[name] for name in names], [names], 'x.pth')


def test_an_optimizer_of_other_parameters_is_an_error_that_names_them():
    (_, state), saved = train('ab', 1, torch.optim.Adam)
    with pytest.raises(
        ValueError,
        match=r'groups of \[4\] parameters against \[2\] here; new '
        'here: nothing; only in the checkpoint: b.bias, b.weight. To go on',
    ):
        resume.align_optimizer(state, saved, [['a.weight', 'a.bias']], 'x.pth')
    with pytest.raises(
        ValueError,
        match=r'got .x.pth. with groups of \[4\] parameters against '
        r'\[2, 2\] here. To go on',
    ):
        resume.align_optimizer(state, None, [['a', 'b'], ['c', 'd']], 'x.pth')


def test_a_config_is_read_and_not_run(tmp_path):
    text = (
        f'import os\nos.mkdir({str(tmp_path / "ran")!r})\na = dict(b=(1, -2.5), c=inf, d=f(3))'
        "\ne = dict({'no name': [None, {'x': True}]})\n"
    )
    assert resume.read_config(text) == dict(
        a=dict(b=[1, -2.5], c='inf', d='f(3)'), e={'no name': [None, dict(x=True)]}
    )
    assert not (tmp_path / 'ran').exists()


def test_changes_are_found_at_any_depth():
    old = Config(dict(a=dict(b=[1, dict(c=2)], same=3), gone=1))
    new = Config(dict(a=dict(b=[1, dict(c=4)], same=3), came=[5]))
    changes = resume.changed_settings(dict(meta=dict(cfg=old.pretty_text)), new)
    assert resume._listed(changes) == ('a.b[1].c: 2 -> 4, gone: 1 -> nothing, came: nothing -> [5]')
    for order in ([2, 1], [1, 2]):  # of objectives, which have names
        old = Config(dict(model=dict(objectives=[dict(type=f't{i}', weight=i) for i in order])))
        new = Config(dict(model=dict(objectives=[dict(type='t1', weight=1), dict(type='t2')])))
        assert resume._listed(
            resume.changed_settings(dict(meta=dict(cfg=old.pretty_text)), new)
        ) == ('model.objectives[1].weight: 2 -> nothing')
    for cfg in ('a = (', 'model = f(3)', None):
        assert resume.changed_settings(dict(meta=dict(cfg=cfg)), new) == []
    for broken in ({}, dict(meta={})):
        assert resume.changed_settings(broken, new) == []


def test_a_checkpoint_without_the_state_of_the_training_is_an_error(resumed, trained, tmp_path):
    checkpoint = torch.load(trained / 'iter_2.pth', weights_only=True)
    del checkpoint['optimizer']
    torch.save(checkpoint, tmp_path / 'best_x_iter_2.pth')
    with pytest.raises(ValueError, match='got .*best_x_iter_2.pth. without optimizer, as best'):
        resumed(checkpoint=tmp_path / 'best_x_iter_2.pth')
    cfg = Config(dict(param_scheduler=[dict(type='ConstantLR')]))
    with pytest.raises(ValueError, match='without param_schedulers, as best'):
        resume._check_state(dict(optimizer={}), cfg, 'best.pth')
    resume._check_state(dict(optimizer={}, param_schedulers=[]), cfg, 'iter.pth')


def test_another_length_is_named_as_schedules_keep_the_old_one(resumed):
    log = resumed()
    assert 'train_cfg.max_iters is 3, and was 2 in' in log
    assert 'the rate stays where they end' in log


def test_another_number_of_processes_is_named(resumed, trained, tmp_path):
    checkpoint = torch.load(trained / 'iter_2.pth', weights_only=True)
    assert checkpoint['meta']['processes'] == 1
    checkpoint['meta']['processes'] = 4
    torch.save(checkpoint, tmp_path / 'iter_2.pth')
    log = resumed(checkpoint=tmp_path / 'iter_2.pth')
    (changes,) = (line for line in log.splitlines() if 'these settings differ from' in line)
    assert 'number of processes: 4 -> 1' in changes


def test_a_hook_of_the_training_that_comes_or_goes_is_named():
    ema, health = dict(type='EMAHook'), dict(type='mmocr_da.HealthHook')

    def changed(*sides):
        old, new = (dict(custom_hooks=hooks) if hooks is not None else {} for hooks in sides)
        return resume._changed_hooks(list(resume._differences(old, new)))

    assert changed([ema], [ema, health]) == changed([], [health]) == changed(None, None) == {}
    assert changed([health, ema], [health])['EMAHook'] == ('there', resume._MISSING)
    assert changed(None, [ema])['EMAHook'] == (resume._MISSING, 'there')
    assert changed([ema], [dict(type='mmocr_da.FreezeHook')]) == {
        'EMAHook': ('there', resume._MISSING),
        'FreezeHook': (resume._MISSING, 'there'),
    }
