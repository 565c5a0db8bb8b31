"""Self-training: the teacher's confident words are labels of the target."""

import copy

import numpy as np
import pytest
import torch
from helpers.processes import run_ranks
from mmengine.config import Config
from mmengine.structures import LabelData
from mmocr.structures import TextRecogDataSample
from torch.nn.parallel import DistributedDataParallel

from mmocr_da import export
from mmocr_da.models.decoders.adapters import adapter_of
from mmocr_da.registry import MODELS

WORDS = ('12', '7', '34567')


def self_training(**options):
    return dict(type='mmocr_da.SelfTraining', **{'threshold': 0.0, **options})


@pytest.fixture
def target(batch):
    """One source image, and a target image per word."""

    def make(words=WORDS):
        data = batch(('89',), targets=len(words))
        for sample, word in zip(data['data_samples'][1:], words):
            sample.set_metainfo(dict(word=word))
        return data

    return make


def teach(model, confidence=1.0):
    """A teacher that knows the word of each image."""
    model.objectives['self_training'].predict_words = lambda target: (
        [sample.word for sample in target.samples],
        [confidence] * len(target.samples),
        [[confidence] * len(sample.word) for sample in target.samples],
    )
    return model


def gradients(model, losses):
    model.zero_grad()
    sum(v.mean() for k, v in losses.items() if 'loss' in k).backward()
    return {
        k: p.grad.clone()
        for k, p in model.named_parameters()
        if p.grad is not None and not k.startswith('objectives.')
    }


def state(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# ------------------------------------------------------------------ the loss


def check_a_perfect_teacher(cfg, data):
    """The losses are those of the recognizer on the target with its labels, and so is each
    gradient."""
    model = teach(MODELS.build(dict(cfg, type='mmocr_da.AdaptiveRecognizer'))).train()
    model.supervised_weight = 0
    supervised = MODELS.build(dict(cfg, type='mmocr_da.AdaptiveRecognizer', objectives=[])).train()
    missing = supervised.load_state_dict(
        {k: v for k, v in model.state_dict().items() if not k.startswith('objectives.')}
    )
    assert not missing.missing_keys
    for m in [*model.modules(), *supervised.modules()]:  # the same for any images beside them
        if isinstance(m, torch.nn.modules.batchnorm._BatchNorm) or 'Drop' in type(m).__name__:
            m.eval()
    labelled = copy.deepcopy(data)
    labelled = dict(inputs=labelled['inputs'][1:], data_samples=labelled['data_samples'][1:])
    for sample in labelled['data_samples']:
        sample.set_metainfo(dict(domain='source'))
        sample.gt_text = LabelData(item=sample.word)
    wanted = supervised.loss(**labelled)
    found = model.loss(**data)
    for key, value in wanted.items():
        torch.testing.assert_close(found[f'loss_self_training{key[4:]}'], value)
    assert found['self_training_kept'] == 1
    wanted, found = gradients(supervised, wanted), gradients(model, found)
    for key, value in wanted.items():
        # Rounding depends on the number of images.
        torch.testing.assert_close(
            found[key], value, rtol=1e-3, atol=1e-3 * value.abs().max().item() + 1e-9
        )
    assert any(value.any() for value in wanted.values())


@pytest.mark.parametrize('kind', ['ASTERDecoder', 'mmocr_da.AttentionDecoder', 'CTC'])
def test_with_a_perfect_teacher_it_is_supervised_training(recognizer_cfg, crnn, target, kind):
    cfg = recognizer_cfg() if kind == 'CTC' else recognizer_cfg(kind)
    if kind == 'CTC':
        cfg.update(encoder=None, decoder=crnn)
    check_a_perfect_teacher({**cfg, 'objectives': [self_training()]}, target())


@pytest.mark.parametrize(
    'name',
    [
        'crnn/crnn_mini-vgg_5e_mj',
        'svtr/svtr-tiny_20e_st_mj',
        'satrn/satrn_shallow-small_5e_st_mj',
        'abinet/abinet-vision_20e_st-an_mj',
    ],
)
def test_with_a_perfect_teacher_the_recognizers_of_mmocr_train_supervised(
    mmocr_recognizer, target, name, monkeypatch
):
    cfg = mmocr_recognizer(name).to_dict()
    data = target()
    channels, height = (1, 32) if name.startswith('crnn') else (3, 32)
    width = 100 if name.startswith('crnn') else 128
    if name.startswith('svtr'):
        height, width = 64, 256
    data['inputs'] = torch.randn(4, channels, height, width)
    for key in ('preprocessor', 'backbone', 'encoder', 'decoder'):
        if cfg.get(key):
            drop(cfg[key])
    cfg['objectives'] = [self_training()]
    check_a_perfect_teacher(cfg, data)


def drop(node):
    """No dropout: the two passes draw differently."""
    if isinstance(node, dict):
        node.pop('init_cfg', None)
        for key, value in node.items():
            if 'drop' in key and isinstance(value, (int, float)) and not isinstance(value, bool):
                node[key] = 0.0
            drop(value)
    elif isinstance(node, list):
        for value in node:
            drop(value)


@pytest.mark.parametrize('ctc', [False, True])
def test_a_threshold_of_one_keeps_nothing_and_its_gradient_is_zero(adaptive, crnn, target, ctc):
    options = dict(encoder=None, decoder=crnn) if ctc else {}
    model = adaptive(self_training(threshold=1.0), supervised_weight=0, **options)
    teach(model, confidence=0.99)
    losses = model.loss(**target())
    assert losses['self_training_kept'] == 0
    grads = gradients(model, losses)
    trained = {k for k, _ in model.named_parameters() if not k.startswith('objectives.')}
    assert grads.keys() == trained  # connected: DDP waits for every gradient
    assert not any(grad.any() for grad in grads.values())


def test_only_kept_words_are_learned(adaptive, target):
    data = target(('12', '', '3', '<UKN>4'))
    model = teach(adaptive(self_training(weight=0.5), supervised_weight=0))
    objective = model.objectives['self_training']
    confidences = [0.9, 0.9, 0.2, 0.9]
    words = [s.word for s in data['data_samples'][1:]]
    objective.predict_words = lambda target: (words, confidences, words)
    objective.keep.threshold = 0.5
    found = model.eval().loss(**copy.deepcopy(data))
    alone = teach(model).loss(
        inputs=data['inputs'][:2], data_samples=copy.deepcopy(data['data_samples'][:2])
    )
    torch.testing.assert_close(found['loss_self_training_ce'], alone['loss_self_training_ce'])
    objective.schedule.high = 1.0
    doubled = model.loss(
        inputs=data['inputs'][:2], data_samples=copy.deepcopy(data['data_samples'][:2])
    )
    torch.testing.assert_close(doubled['loss_self_training_ce'], 2 * alone['loss_self_training_ce'])
    logged = {k: v.item() for k, v in found.items() if k.startswith('self_training_')}
    assert logged['self_training_kept'] == 0.25
    assert logged['self_training_length'] == (2 + 0 + 1 + 6) / 4
    assert logged['self_training_distinct_words'] == 3
    assert logged['self_training_confidence'] == pytest.approx(2.9 / 4)
    assert logged['self_training_weight'] == 0.5
    assert logged['self_training_threshold'] == 0.5


@pytest.mark.parametrize('ctc', [False, True])
def test_the_mean_over_all_images_is_that_over_kept_ones_times_their_share(
    adaptive, crnn, target, ctc
):
    options = dict(encoder=None, decoder=crnn) if ctc else {}
    found = {}
    for average in ('kept', 'all'):
        torch.manual_seed(0)
        model = teach(adaptive(self_training(average=average), **options))
        losses = model.loss(**target(('12', '', '3', '')))
        (found[average],) = (v for k, v in losses.items() if k.startswith('loss_self_training'))
    torch.testing.assert_close(found['all'], found['kept'] / 2)
    assert found['kept'] > 0


def characters_learned(adaptive, target, words, scores, **options):
    """The losses of a teacher that is sure of some characters, and the model."""
    torch.manual_seed(0)
    model = adaptive(self_training(**options), supervised_weight=0).eval()
    model.objectives['self_training'].predict_words = lambda target: (
        list(words),
        [1.0] * len(words),
        scores,
    )
    return model.loss(**target(words)), model


def test_only_sure_characters_are_learned_and_ends(adaptive, target):
    words = ('12', '345', '0123456789')  # the last is cut to 7 characters, without an end
    scores = [[0.9, 0.2], [0.5, 0.4, 0.6], [0.9] * 5 + [0.1] * 5]
    losses, model = characters_learned(adaptive, target, words, scores, character_threshold=0.5)
    assert losses['self_training_learned_characters'] == pytest.approx((1 + 2 + 5) / 15)

    # Each learned character's negative log probability, given those before it.
    data = target(words)
    samples = data['data_samples'][1:]
    for sample in samples:
        sample.gt_text = LabelData(item=sample.word)
    model.decoder.module_loss.get_targets(samples)
    features = model.extract_feat(data['inputs'][1:])
    logits = model.decoder.forward_train(features, model.encoder(features, samples), samples)
    terms = []
    for sample, steps, row in zip(samples, scores, logits.double().log_softmax(-1)):
        tokens = sample.gt_text.padded_indexes[1:].tolist()
        for step, token in enumerate(tokens[: len(sample.word) + 1]):
            last = step == len(tokens) - 1 or step == len(sample.word)
            if last or steps[step] >= 0.5:
                terms.append(-row[step, token].item())
    assert len(terms) == 2 + 3 + 6
    assert losses['loss_self_training_ce'].item() == pytest.approx(np.mean(terms), rel=1e-5)


@pytest.mark.parametrize('name', ['satrn_shallow-small_5e_st_mj', 'abinet-vision_20e_st-an_mj'])
def test_the_losses_of_mmocr_leave_characters_out(mmocr_recognizer, target, name, sample):
    """Also one that is made of cross-entropies, as ABINet's."""
    cfg = mmocr_recognizer(f'{name.split("_")[0].split("-")[0]}/{name}').to_dict()
    model = MODELS.build(dict(cfg, type='mmocr_da.AdaptiveRecognizer', objectives=[]))
    adapter, decoder = adapter_of(model.decoder), model.decoder
    samples = [sample('ab'), sample('cde')]
    decoder.module_loss.get_targets(samples)
    steps = len(samples[0].gt_text.padded_indexes)
    logits = torch.randn(2, steps, decoder.dictionary.num_classes, requires_grad=True)
    adapter.ignore_characters(samples, [[False, True], [True, False, True]])
    output = dict(out_vis=dict(logits=logits)) if name.startswith('abinet') else logits
    (loss,) = adapter.loss(output, samples).values()
    loss.mean().backward()
    learned = logits.grad.abs().sum(-1).bool().tolist()
    # Up to the end of each text: ABINet fills the rest with ends.
    assert learned[0][:3] == [False, True, True]
    assert learned[1][:4] == [True, False, True, True]


def test_with_sure_characters_alone_all_are_learned(adaptive, target):
    scores = [[0.5] * len(word) for word in WORDS]
    found = [
        characters_learned(adaptive, target, WORDS, scores, character_threshold=threshold)[0]
        for threshold in (0, 0.5)
    ]
    assert found[1].pop('self_training_learned_characters') == 1
    assert found[0] == found[1]
    none, _ = characters_learned(adaptive, target, WORDS, scores, character_threshold=0.6)
    assert none['self_training_learned_characters'] == 0
    assert torch.isfinite(none['loss_self_training_ce']) and none['loss_self_training_ce'] > 0


def test_the_scores_of_the_teacher_are_those_of_its_characters(adaptive, target):
    model = adaptive(self_training(character_threshold=0.3), supervised_weight=0)
    objective, seen = model.objectives['self_training'], []
    predict = objective.predict_words
    objective.predict_words = lambda target: seen.append(predict(target)) or seen[-1]
    model.loss(**target())
    texts, confidences, scores = seen[0]
    for text, confidence, score in zip(texts, confidences, scores):
        assert len(score) == len(text) and all(0 < value < 1 for value in score)
        end = 1 if len(text) == model.decoder.max_seq_len else confidence / np.prod(score)
        assert 0 < end <= 1 + 1e-5


def test_a_loss_of_whole_words_has_no_characters_to_leave_out(adaptive, crnn):
    with pytest.raises(ValueError, match='needs a loss with a term for each .* got CTCModuleLoss'):
        adaptive(self_training(character_threshold=0.5), encoder=None, decoder=crnn)


def test_the_most_confident_share_is_kept_whatever_the_confidences_are(adaptive, target):
    data = target(('12', '', '3', '<UKN>4', '5', '67'))
    confidences = [0.02, 0.9, 0.03, 0.9, 0.01, 0.04]
    words = [s.word for s in data['data_samples'][1:]]
    kept = {}
    for share in (0.5, 1.0):
        keep = dict(type='mmocr_da.ConfidenceQuantile', start=share)
        model = adaptive(self_training(threshold=None, keep=keep))
        model.objectives['self_training'].predict_words = lambda target: (words, confidences, words)
        found = model.loss(**copy.deepcopy(data))
        kept[share] = found['self_training_kept'].item(), found['self_training_threshold'].item()
    # Neither the empty word nor the one with the unknown character, though their images count.
    assert kept[0.5] == (0.5, pytest.approx(0.02))
    assert kept[1.0] == (pytest.approx(4 / 6), 0)


def test_words_are_kept_that_are_nearly_as_sure_as_those_of_the_source(adaptive, target):
    keep = dict(type='mmocr_da.RelativeThreshold', tau=0.5)
    model = adaptive(self_training(threshold=None, keep=keep))
    found = model.loss(**target())
    least = found['self_training_threshold'].item()
    assert 0 < least < 0.5
    for factor, kept in ((1.01, 1), (0.99, 0)):
        teach(model, confidence=least * factor)
        assert model.loss(**target())['self_training_kept'] == kept


@pytest.mark.parametrize('ctc', [False, True])
def test_normalized_confidences_are_roots_of_the_others_and_so_is_that_of_the_source(
    adaptive, crnn, target, ctc
):
    options = dict(encoder=None, decoder=crnn) if ctc else {}
    keep = dict(type='mmocr_da.RelativeThreshold', tau=1.0)
    words, least = {}, {}
    for normalized in (False, True):
        torch.manual_seed(0)
        objective = self_training(threshold=None, keep=keep, length_normalized=normalized)
        model = adaptive(objective, **options).eval()
        objective = model.objectives['self_training']
        predict = objective.predict_words
        objective.predict_words = lambda t: words.setdefault(normalized, predict(t))
        least[normalized] = model.loss(**target())['self_training_threshold'].item()
    texts, products, _ = words[False]
    assert texts == words[True][0]
    for text, product, root in zip(texts, products, words[True][1]):
        steps = len(text) + 1 if ctc else min(len(text) + 1, model.decoder.max_seq_len)
        assert root == pytest.approx(product ** (1 / steps), rel=1e-4)
    assert 0 < least[False] < least[True] < 1


def test_the_weight_rises_over_the_ramp_and_stays(adaptive, target, progress):
    model = teach(adaptive(self_training(weight=3.0, ramp=10)))
    weights = []
    for iteration in (0, 5, 10, 50):
        progress(iteration, 100)
        weights.append(model.loss(**target())['self_training_weight'].item())
    assert weights == [0, 1.5, 3, 3]


def test_agreement_is_one_with_itself(adaptive, target):
    """Without augmentation, without dropout, a teacher that is the student."""
    model = adaptive(self_training(agreement_interval=2)).eval()
    assert model.loss(**target())['self_training_agreement'] == 1
    model.train()
    shown = ['self_training_agreement' in model.loss(**target()) for _ in range(5)]
    assert shown == [True, False, True, False, True]


# ------------------------------------------------------------------ the teacher


def weak_view(seed):
    image = np.random.default_rng(seed).integers(0, 255, (1, 16, 32)).astype(np.uint8)
    view = TextRecogDataSample(
        metainfo=dict(valid_ratio=1.0, img_shape=(16, 32), img_path=f'{seed}.png')
    )
    view.set_data(dict(image=image))
    return view


@pytest.mark.parametrize('ctc', [False, True])
def test_the_teacher_predicts_the_weak_view_as_in_testing(adaptive, crnn, target, ctc):
    options = dict(encoder=None, decoder=crnn) if ctc else {}
    model = adaptive(self_training(), **options)
    objective = model.objectives['self_training']
    with torch.no_grad():
        for parameter in objective.teacher.parameters():
            parameter.mul_(1.5)
    data = target()
    views = [weak_view(seed) for seed in range(3)]
    for sample, view in zip(data['data_samples'][1:], views):
        sample.set_data(dict(weak_view=view))
    seen = []
    predict = objective.predict_words
    objective.predict_words = lambda target: seen.append(predict(target)) or seen[-1]
    for _ in range(2):  # views are not changed
        model.loss(**copy.deepcopy(data))
    assert seen[0] == seen[1]

    wanted = model.eval().test_step(
        dict(
            inputs=[torch.from_numpy(view.image) for view in views],
            data_samples=[TextRecogDataSample(metainfo=view.metainfo) for view in views],
        )
    )
    assert seen[0][0] == [sample.pred_text.item for sample in wanted]
    assert all(0 < confidence < 1 for confidence in seen[0][1])


def test_a_step_leaves_the_teacher_alone_and_after_it_the_teacher_follows_once(adaptive, target):
    model = adaptive(self_training(decay=0.5))
    teacher = model.objectives['self_training'].teacher
    optimizer = torch.optim.AdamW([p for p in model.parameters()], 0.1, weight_decay=0.1)
    before = state(teacher)
    for _ in range(2):  # gradients are accumulated
        teach(model)
        model.parse_losses(model.loss(**target()))[0].backward()
    optimizer.step()
    assert equal(before, state(teacher))
    model.after_step()
    after = state(teacher)
    own = model.state_dict()
    for key, value in after.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (before[key] + own[key]) / 2)
    model.after_step()  # a step of others: the student was not trained since
    assert equal(after, state(teacher))


def test_a_teacher_that_is_never_told_of_steps_stops_the_training(adaptive, target, monkeypatch):
    monkeypatch.setattr('mmocr_da.models.objectives.teacher_objective.PATIENCE', 3)
    model = adaptive(self_training())
    for _ in range(3):
        model(**target(), mode='loss')
    model.after_step()
    for _ in range(3):
        model(**target(), mode='loss')
    with pytest.raises(ValueError, match=r'not followed.*for 3 batches.*AfterStepHook'):
        model(**target(), mode='loss')


def test_it_does_not_follow_a_frozen_recognizer(adaptive, target, progress):
    lsed = dict(
        type='mmocr_da.LSEDLoss',
        surrogate=dict(
            channels=[4] * 5, hidden_channels=8, out_channels=4, surrogate_steps=1, warmup=0
        ),
    )
    model = adaptive(lsed, self_training(decay=0.5))
    followed = []
    teacher = model.objectives['self_training'].teacher
    teacher.follow = lambda *_: followed.append(iteration)
    frozen = []
    for iteration in range(6):
        progress(iteration, 10)
        if any(o.freezes_recognizer for o in model.objectives.values()):
            frozen.append(iteration)
        model.parse_losses(model.loss(**target()))[0].backward()
        model.after_step()
    assert frozen and followed == [i for i in range(6) if i not in frozen]


def test_no_objective_of_the_recognizer_is_in_the_teacher_and_no_weight_of_it_is_trained(adaptive):
    model = adaptive(self_training(), dict(type='mmocr_da.SymNetHead'))
    teacher = model.objectives['self_training'].teacher
    assert set(dict(teacher.named_children())) == {'backbone', 'encoder', 'decoder'}
    trained = {k for k, p in model.named_parameters() if p.requires_grad}
    assert not any('teacher' in key for key in trained)
    model.train()
    assert not any(m.training for m in teacher.modules())


# ------------------------------------------------------------------ checkpoints and testing


def test_the_teacher_of_a_checkpoint_without_one_is_a_copy(adaptive):
    model, plain = adaptive(self_training()), adaptive()
    model.load_state_dict(plain.state_dict())
    teacher = model.objectives['self_training'].teacher
    assert equal(state(teacher), plain.state_dict())
    with torch.no_grad():
        teacher.get_parameter('decoder.fc.bias').fill_(7)
    other = adaptive(self_training())
    other.load_state_dict(model.state_dict())
    assert equal(other.state_dict(), model.state_dict())
    keep = dict(type='mmocr_da.ConfidenceQuantile', start=0.5)
    other = adaptive(self_training(threshold=None, keep=keep))
    other.load_state_dict(model.state_dict())  # also where another rule was used


def test_initial_weights_are_shared(adaptive):
    model = adaptive(self_training())
    model.init_weights()
    own = {k: v for k, v in model.state_dict().items() if not k.startswith('objectives.')}
    assert equal(state(model.objectives['self_training'].teacher), own)


@pytest.mark.parametrize('predict_with', ['teacher', 'student'])
@pytest.mark.parametrize('others', [(), (dict(type='mmocr_da.SymNetHead'),)])
def test_what_is_exported_predicts_as_in_testing(toy, predict_with, others):
    cfg = Config.fromfile(toy)
    cfg.model.objectives = [self_training(predict_with=predict_with), *others]
    model = MODELS.build(copy.deepcopy(cfg.model)).eval()
    with torch.no_grad():
        for i, parameter in enumerate(model.objectives['self_training'].teacher.parameters()):
            parameter.add_(torch.randn_like(parameter) * 0.3)
    plain_cfg, weights = export.make_plain(cfg, model.state_dict(), model)
    plain = MODELS.build(plain_cfg.model)
    plain.load_state_dict(weights, strict=True)
    info = dict(valid_ratio=1.0, img_shape=(16, 32), domain='target')
    data = dict(
        inputs=[torch.randint(0, 255, (1, 16, 32)).byte() for _ in range(4)],
        data_samples=[TextRecogDataSample(metainfo=info) for _ in range(4)],
    )
    assert export.same_predictions(model, plain, data)
    other = 'student' if predict_with == 'teacher' else 'teacher'
    model.objectives['self_training'].predict_with = other
    assert not export.same_predictions(model, plain, data)  # the comparison can tell


# ------------------------------------------------------------------ with others, on two ranks


def test_it_mixes_with_the_other_objectives_in_one_step(adaptive, target):
    model = adaptive(
        self_training(),
        dict(type='mmocr_da.GlobalAlignment', in_channels=16, schedule='constant'),
        dict(type='mmocr_da.LocalAlignment', in_channels=16, schedule='constant', threshold=0),
        dict(type='mmocr_da.SymNetHead', schedule='constant'),
        norm_statistics='per_domain',
    )
    teach(model)
    losses = model.loss(**target())
    alone = teach(adaptive(self_training(), norm_statistics='per_domain'))
    alone.load_state_dict(
        {
            k: v
            for k, v in model.state_dict().items()
            if not k.startswith('objectives.') or '.self_training.' in k
        }
    )
    # The other losses look at the same features and change nothing here.
    torch.testing.assert_close(
        losses['loss_self_training_ce'], alone.loss(**target())['loss_self_training_ce']
    )
    total, _ = model.parse_losses(losses)
    total.backward()
    assert {k.split('_')[1] for k in losses if k.startswith('loss_')} == {
        'ce',
        'global',
        'local',
        'self',
        'symnet',
    }


def rank_gradients(cfg, data, wrap):
    torch.manual_seed(0)
    model = MODELS.build(cfg).train()
    model.objectives['self_training'].predict_words = lambda target: (
        [sample.word for sample in target.samples],
        [0.1 * int(sample.word[0]) for sample in target.samples],
        [[0.1 * int(char) for char in sample.word] for sample in target.samples],
    )
    for m in model.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.eval()
    forward = DistributedDataParallel(model) if wrap else model
    model.parse_losses(forward(**data, mode='loss'))[0].backward()
    return [p.grad for p in model.parameters() if p.requires_grad]


def gradients_of_rank(rank, cfg, shares):
    return {case: rank_gradients(cfg, share[rank], wrap=True) for case, share in shares.items()}


@pytest.mark.parametrize('ctc', [False, True])
def test_two_ranks_equal_one(recognizer_cfg, crnn, target, ctc):
    cfg = recognizer_cfg()
    # What is kept and its share need both ranks as well.
    keep = dict(type='mmocr_da.ConfidenceQuantile', start=0.75)
    objective = self_training(threshold=None, keep=keep, average='all')
    cfg.update(type='mmocr_da.AdaptiveRecognizer', objectives=[objective], supervised_weight=0)
    if ctc:
        cfg.update(encoder=None, decoder=crnn)
    else:  # ranks learn different numbers of characters
        objective.update(character_threshold=0.45)
    data = target(('1', '23', '456', '7'))
    samples = data['data_samples']
    splits = dict(uneven=([0, 1], [2, 3, 4]), none=([0], [1, 2, 3, 4]))
    shares = {
        case: [
            dict(inputs=data['inputs'][rows], data_samples=[samples[i] for i in rows])
            for rows in split
        ]
        for case, split in splits.items()
    }
    two = run_ranks(gradients_of_rank, cfg, shares)[0]
    one = rank_gradients(cfg, data, wrap=False)
    for case, grads in two.items():
        for a, b in zip(grads, one, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=lambda m: f'{case}: {m}')
    assert any(grad.any() for grad in one)


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(threshold=1.1), 'threshold must be a number'),
        (dict(character_threshold=1.5), 'character_threshold must be a number'),
        (dict(average='words'), "average must be 'kept' or 'all'"),
        (dict(keep=dict(type='mmocr_da.RelativeThreshold')), 'threshold or keep, got threshold=0'),
        (dict(decay=-0.1), 'decay must be a number'),
        (dict(weight=-1), 'weight must be a number'),
        (dict(ramp=-1), 'ramp must be an integer'),
        (dict(predict_with='target'), "predict_with must be 'teacher' or 'student'"),
    ],
)
def test_settings_that_cannot_be_meant(options, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(self_training(**options))


def test_there_is_no_confidence_in_a_source_that_is_not_learned(adaptive):
    keep = dict(type='mmocr_da.RelativeThreshold')
    with pytest.raises(ValueError, match='RelativeThreshold .*supervised_weight=0'):
        adaptive(self_training(threshold=None, keep=keep), supervised_weight=0)


def test_a_teacher_that_stays_and_predicts_is_told(monkeypatch):
    said = []
    monkeypatch.setattr('mmocr_da.arguments.print_log', lambda text, **_: said.append(text))
    MODELS.build(self_training(decay=1, predict_with='student'))
    MODELS.build(self_training(decay=0.99))
    assert said == []
    MODELS.build(self_training(decay=1))
    assert "predict_with='teacher' has no effect: with decay=1 the teacher" in said[0]
