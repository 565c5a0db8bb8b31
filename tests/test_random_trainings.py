"""Trainings of random methods, sizes and batches: they take their steps, or say what is wrong."""

import random

import pytest
import torch
from helpers import matrix
from helpers.families import FAMILIES, narrow, noise
from helpers.methods import SURROGATE, build, decoder_of, make_it_read, objective, train

OPTIONS = {
    matrix.GA: dict(
        pooling=['mean', 'position', 'flatten'],
        level=['backbone', 'encoder'],
        weight=[0, 0.1, 1],
        schedule=['constant', 'rising', 'falling', 'product'],
    ),
    matrix.LA: dict(threshold=[0.0, 0.5, 0.99], average=['image', 'character']),
    matrix.SYMNET: dict(
        confusion=['category', 'domain', 'none', 'reversal'],
        entropy=[True, False],
        task_target=[True, False],
        predict_with=['source', 'target'],
        threshold=[0.0, 0.9],
    ),
    matrix.CONFUSION: dict(schedule=['constant', 'rising']),
    matrix.ENTROPY: dict(weight=[0, 0.1, 1]),
    matrix.SELF_TRAINING: dict(
        keep=[
            dict(type='mmocr_da.ConfidenceQuantile', start=0.5, end=1.0, window=3),
            dict(type='mmocr_da.ConfidenceThreshold', threshold=0.0),
            dict(type='mmocr_da.RelativeThreshold', tau=0.0),
        ],
        average=['kept', 'all'],
        character_threshold=[0.0, 0.05],
        decay=[0, 0.9, 1],
        ramp=[0, 3],
        length_normalized=[False, True],
        predict_with=['teacher', 'student'],
    ),
    matrix.LS_ED: dict(
        surrogate=[
            SURROGATE,
            dict(SURROGATE, warmup=1, model_steps=2, approximation='local'),
            dict(SURROGATE, surrogate_steps=2, approximation='global', max_distance=2),
            dict(SURROGATE, alternate=False),
        ]
    ),
    matrix.L2SP: dict(weight=[0, 0.01]),
    matrix.RISK: dict(
        num_texts=[2, 5], estimate=['sample', 'n-best'], normalized=[False, True], weight=[0.1, 1]
    ),
    matrix.COMPLETION: dict(text=['sample', 'greedy'], temperature=[0, 0.5]),
    matrix.SCHEDULED: dict(own=['sample', 'greedy'], least=[0, 0.5]),
}
#: Options of the recognizer.
RECOGNIZER = dict(
    supervised_weight=[1, 1, 0.5, 0],
    norm_statistics=['joint', 'joint', 'per_domain'],
    character_feature=['context', 'context', 'hidden'],
    channels_last=[False, True],
)
#: Numbers of images of source and target in a batch.
BATCHES = [(2, 2), (2, 2), (1, 1), (3, 0), (0, 3), (1, 0), (0, 1), (2, 1), (1, 3)]
#: Labels: none, usual ones, one with more characters than steps, one outside of the dictionaries.
TEXTS = ['', '1', '12', 'ab1', 'zz', 'abcdefghij', '\N{SNOWMAN}']


def draw(seed):
    """A random config, and two batches."""
    rng = random.Random(seed)
    family = rng.choice(list(FAMILIES))
    cfg = narrow(family)
    if 'max_seq_len' in cfg.model.decoder:
        # At 1 MMOCR's losses are a mean of nothing, with or without an objective.
        cfg.model.decoder.max_seq_len = rng.choice([2, 3, 6, 6])
    decoder = decoder_of(cfg)
    objectives = []
    for name in rng.sample(list(OPTIONS), rng.randint(0, 3)):
        options = {k: rng.choice(v) for k, v in OPTIONS[name].items() if rng.random() < 0.5}
        if name in (matrix.GA, matrix.LA, matrix.CONFUSION) and rng.random() < 0.1:
            options['in_channels'] = rng.choice([1, 15, 17])
        objectives.append(objective(name, decoder, **options))
    recognizer = {k: rng.choice(v) for k, v in RECOGNIZER.items() if rng.random() < 0.5}
    cfg.model.update(type='mmocr_da.AdaptiveRecognizer', objectives=objectives, **recognizer)
    if rng.random() < 0.2:
        cfg.model.update(type='mmocr_da.WithBIN', of=cfg.model.type)
    batches = []
    for _ in range(2):
        sources, targets = rng.choice(BATCHES)
        batch = noise(family, rng.choices(TEXTS, k=sources), targets, rng.randint(0, 2))
        for sample in batch['data_samples']:
            sample.set_metainfo(dict(valid_ratio=rng.choice([1.0, 1.0, 0.5, 0.01])))
        batches.append(batch)
    return cfg, batches


def train_or_be_refused(seed):
    """Whether a random training has taken its steps."""
    cfg, batches = draw(seed)
    try:
        model = build(cfg)
        if seed % 2:
            make_it_read(model)
        train(model, batches)
    except (ValueError, TypeError) as error:
        # A sentence that says what came: no bare name, no traceback of a tensor.
        assert len(str(error).split()) >= 6, repr(error)
        return False
    with torch.no_grad():
        predicted = model.eval().test_step(batches[0])
    assert all(isinstance(sample.pred_text.item, str) for sample in predicted)
    return True


@pytest.mark.parametrize('seed', range(10))
def test_a_random_training_takes_its_steps_or_says_what_is_wrong(seed):
    train_or_be_refused(seed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_random_trainings():
    worked = [train_or_be_refused(seed) for seed in range(10, 250)]
    assert sum(worked) > 100, 'the test refuses too much to mean anything'
