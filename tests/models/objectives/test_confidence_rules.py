"""Which words a student learns: laws of the rules, and of their state."""

import math

import pytest
import torch
from helpers.processes import run_ranks

from mmocr_da.models.objectives import ConfidenceQuantile
from mmocr_da.registry import MODELS


def rule(name, **options):
    return MODELS.build(dict(type=f'mmocr_da.{name}', **options))


def source(*confidences):
    """Source words with these confidences."""
    return lambda: torch.tensor(confidences)


def kept(rule, confidences):
    least = rule(confidences, source())
    return [i for i, confidence in enumerate(confidences) if confidence >= least]


def random_words(count, seed=0):
    return torch.rand(count, generator=torch.Generator().manual_seed(seed)).tolist()


# ------------------------------------------------------------------ a fixed threshold


def test_a_threshold_is_reached_by_equal_confidence():
    assert kept(rule('ConfidenceThreshold', threshold=0.5), [0.4, 0.5, 0.6]) == [1, 2]
    assert kept(rule('ConfidenceThreshold', threshold=0.0), [0.0, 1.0]) == [0, 1]


# ------------------------------------------------------------------ a share


@pytest.mark.parametrize('share', [0.1, 0.25, 0.5, 1.0])
def test_a_share_is_kept_and_it_is_the_most_confident_one(share):
    words = random_words(40)
    found = kept(rule('ConfidenceQuantile', start=share), words)
    assert len(found) == share * 40
    left_out = [w for i, w in enumerate(words) if i not in found]
    assert min(words[i] for i in found) > max(left_out, default=-1)


def test_only_the_order_of_confidences_counts():
    """So it is the same for products over few or many steps, sharp or flat recognizers."""
    words = random_words(40)
    plain, changed = (rule('ConfidenceQuantile', start=0.3, window=100) for _ in range(2))
    for seed in range(5):
        words = random_words(40, seed)
        assert kept(plain, words) == kept(changed, [w**30 / 7 for w in words])


def test_over_many_batches_the_share_is_kept_though_some_batches_are_easy():
    share = rule('ConfidenceQuantile', start=0.5, window=400)
    for i in range(10):
        kept(share, [w * (1 + i % 2) / 2 for w in random_words(40, i)])
    counts = [len(kept(share, [w * (1 + i % 2) / 2 for w in random_words(40, i)])) for i in (0, 1)]
    assert counts[0] < 20 < counts[1]
    assert sum(counts) == pytest.approx(40, abs=3)


def test_words_that_cannot_be_learned_count_as_images_and_are_the_last():
    share = rule('ConfidenceQuantile', start=0.5)
    assert share([0.0, 0.0, 0.9, 0.8], source()) == 0.8
    share = rule('ConfidenceQuantile', start=0.25)
    assert share([0.0, 0.0, 0.9, 0.8], source()) == 0.9


def test_equal_confidences_are_kept_together():
    assert kept(rule('ConfidenceQuantile', start=0.5), [1.0] * 4) == [0, 1, 2, 3]


def test_without_a_word_nothing_is_kept():
    assert rule('ConfidenceQuantile', start=0.5)([], source()) == math.inf


def test_the_window_has_whole_batches_and_forgets_the_oldest_one():
    share = rule('ConfidenceQuantile', start=0.5, window=6)
    share([0.9, 0.9], source())
    assert share([0.1, 0.2], source()) == 0.9
    assert share([0.3, 0.4], source()) == 0.4  # 6 images: half of them from 0.4
    assert share([0.5, 0.5], source()) == 0.4  # without 0.9
    assert share([0.6, 0.7, 0.8, 0.9], source()) == 0.7  # and without 0.1 to 0.4
    assert share(random_words(99), source()) == sorted(random_words(99))[-50]  # a large batch


@pytest.mark.parametrize('frozen', ['eval', 'no_grad'])
def test_only_training_changes_the_window(frozen):
    share = rule('ConfidenceQuantile', start=0.5)
    share(random_words(10), source())
    before = share.get_extra_state()
    if frozen == 'eval':
        share.eval()
    with torch.set_grad_enabled(frozen != 'no_grad'):
        share(random_words(10, 1), source())
    assert torch.equal(share.get_extra_state(), before)


def test_a_restored_window_goes_on_as_before():
    whole, cut = (rule('ConfidenceQuantile', start=0.4, window=50) for _ in range(2))
    empty = whole.state_dict()
    for seed in range(7):
        whole(random_words(12, seed), source())
        if seed == 3:
            cut.load_state_dict(whole.state_dict())
        elif seed > 3:
            cut(random_words(12, seed), source())
    assert torch.equal(whole.get_extra_state(), cut.get_extra_state())
    for key, value in whole.state_dict().items():
        assert value.shape == empty[key].shape and value.isfinite().all()
    assert whole([0.5], source()) == cut([0.5], source())


def test_a_batch_that_is_larger_than_the_window_is_replaced_also_after_a_restart():
    whole, cut = (rule('ConfidenceQuantile', start=0.5, window=4) for _ in range(2))
    whole(random_words(9), source())
    cut.load_state_dict(whole.state_dict())
    assert whole([0.1, 0.2], source()) == cut([0.1, 0.2], source()) == 0.2


def test_the_share_rises_linearly(progress):
    share = rule('ConfidenceQuantile', start=0.2, end=0.8)
    shares = []
    for iteration in (0, 25, 100, 120):
        progress(iteration, 100)
        shares.append(share.share())
    assert shares == pytest.approx([0.2, 0.35, 0.8, 0.8])
    progress(50, 100)
    assert len(kept(share, random_words(40))) == 20


def test_a_share_that_rises_from_zero_keeps_the_surest_word_at_once(progress):
    progress(0, 100)
    words = random_words(40)
    assert kept(rule('ConfidenceQuantile', start=0.0, end=0.6), words) == [words.index(max(words))]


def test_a_constant_share_needs_no_training_that_runs():
    assert rule('ConfidenceQuantile', start=0.3).share() == 0.3
    assert rule('ConfidenceQuantile', start=0.3, end=0.3).share() == 0.3


def least_on_rank(rank, batches):
    share = ConfidenceQuantile(0.4, window=9)
    relative = rule('RelativeThreshold', tau=0.5)
    return [
        (share(batch[rank], source()), relative([], source(*batch[rank]))) for batch in batches
    ], share.get_extra_state().tolist()


def test_two_ranks_agree_with_each_other_and_with_one():
    words = random_words(30)
    batches = [(words[:3], words[3:6]), (words[6:11], words[11:12]), ([], words[12:18])]
    (one, _), (two, _) = run_ranks(least_on_rank, batches)
    assert one == two
    single, _ = least_on_rank(0, [(a + b,) for a, b in batches])
    for found, wanted in zip(one, single, strict=True):
        assert found[0] == wanted[0]
        assert found[1] == pytest.approx(wanted[1])


# ------------------------------------------------------------------ relative to the source


def test_a_relative_threshold_follows_the_mean_of_the_source():
    relative = rule('RelativeThreshold', tau=0.9)
    assert relative([0.1], source(0.5, 0.7)) == pytest.approx(0.54)
    assert relative([0.1], source()) == math.inf


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    'name, options, message',
    [
        ('ConfidenceThreshold', dict(threshold=1.1), 'threshold must be a number'),
        ('ConfidenceQuantile', dict(start=-0.1), 'start must be a number'),
        ('ConfidenceQuantile', dict(start=0.1, end=80), 'end must be a number'),
        ('ConfidenceQuantile', dict(start=0), 'needs a share above 0'),
        ('ConfidenceQuantile', dict(start=0.1, window=0), 'window must be an integer'),
        ('RelativeThreshold', dict(tau=2), 'tau must be a number'),
    ],
)
def test_settings_that_cannot_be_meant(name, options, message):
    with pytest.raises(ValueError, match=message):
        rule(name, **options)


@pytest.mark.parametrize(
    'cfg',
    [
        dict(type='ConfidenceThreshold', threshold=0.9),
        dict(type='ConfidenceQuantile', start=0.2),
        dict(type='RelativeThreshold'),
    ],
)
def test_the_advice_names_the_setting(cfg):
    cfg = dict(cfg)
    made = rule(cfg.pop('type'), **cfg)
    (name,) = cfg or ('tau',)
    assert f'{name}=' in made.advice()
