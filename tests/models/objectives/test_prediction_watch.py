import pytest

from mmocr_da.models.objectives.prediction_watch import PATIENCE, PredictionWatch


@pytest.fixture
def said(monkeypatch):
    texts = []
    monkeypatch.setattr(
        'mmocr_da.models.objectives.prediction_watch.print_log',
        lambda text, **_: texts.append(text),
    )
    return texts


@pytest.mark.parametrize(
    'texts, kept, warning',
    [
        (['', ''], 0, 'the empty text for every target image'),
        (['the', ''], 1, "COLLAPSE: the teacher predicted no word but 'the'"),
        (['the', 'a'], 0, 'a label: none was sure; lower it, or start from a better'),
        (['the', 'a'], 1, None),
        ([], 0, None),
    ],
)
def test_what_it_warns_of(said, texts, kept, warning):
    watch = PredictionWatch(lambda: 'none was sure; lower it')
    for repetition in range(1, 3):
        for _ in range(PATIENCE - 1):
            watch.see(texts, kept)
        assert len(said) == (repetition - 1) * (warning is not None)
        watch.see(texts, kept)
        assert len(said) == repetition * (warning is not None)
    assert all(warning in text for text in said)


def test_a_single_other_word_is_no_collapse(said):
    watch = PredictionWatch(lambda: 'none was sure; lower it')
    for i in range(PATIENCE):
        watch.see(['the', 'a' if i == 7 else 'the'], 1)
    assert said == []
