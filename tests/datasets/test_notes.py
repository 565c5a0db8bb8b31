"""Notes about an item end up in its data samples."""

import pytest
from mmengine.structures import BaseDataElement

from mmocr_da.datasets.data_samples import data_samples_of
from mmocr_da.datasets.notes import NotingCompose, collect_notes, note


def test_notes_are_collected_within_and_nowhere_else():
    note('kind', 'before')
    with collect_notes() as outer:
        note('kind', 'a')
        with collect_notes() as inner:
            note('kind', 'b')
        note('kind', 'c')
    assert (outer, inner) == ([('kind', 'a'), ('kind', 'c')], [('kind', 'b')])


def test_all_data_samples_of_an_item_carry_its_notes():

    def pack(results):
        if results['number'] == 1:
            note('kind', 'one')
        return dict(inputs=[0, 0], data_samples=[BaseDataElement(), BaseDataElement()])

    pipeline = NotingCompose([pack])
    first, second = (list(data_samples_of(pipeline(dict(number=i)))) for i in (1, 2))
    assert [s.notes for s in first] == [[('kind', 'one')]] * 2
    assert not any('notes' in s for s in second)
    assert NotingCompose([lambda results: None])(dict()) is None


def test_an_error_of_a_pipeline_names_the_image():
    def fail(results):
        results.clear()
        raise AssertionError

    pipeline = NotingCompose([fail])
    with pytest.raises(AssertionError) as caught:
        pipeline(dict(img_path='a.png', instances=[dict(text='a', bbox=1), dict(text='b')]))
    assert caught.value.__notes__ == [
        'This is in the pipeline of the image a.png, annotated with bbox and text'
    ]
    with pytest.raises(AttributeError) as caught:
        pipeline('a.png')
    assert caught.value.__notes__ == ['This is in the pipeline of the image a.png']
