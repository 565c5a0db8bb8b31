"""A tiny recognizer with its data."""

import pytest
from helpers.recognizers import make_recognizer


@pytest.fixture(scope='session')
def tiny(tmp_path_factory):
    """Folders with an attention and a CTC recognizer, by name."""
    made = {}

    def folder(decoder='attention'):
        if decoder not in made:
            made[decoder] = make_recognizer(tmp_path_factory.mktemp(decoder), decoder)
        return made[decoder]

    return folder
