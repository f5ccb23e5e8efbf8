"""The page of weightings says what the code says."""

import pytest

from docs.weightings import PAGE, entries, needs, page


def test_the_page_is_not_stale():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m docs.weightings`"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linear", "nothing"),
        ("rlw", "nothing"),
        ("uncertainty", "losses"),
        ("dwa", "losses"),
        ("stch", "losses"),
        ("mgda", "Gramian"),
        ("epo", "Gramian, losses"),
        ("gradnorm", "Gramian, losses"),
    ],
)
def test_what_a_weighting_needs_is_found_by_asking_it(name, expected):
    (entry,) = [entry for entry in entries() if name in entry.names]
    assert needs(entry) == expected
