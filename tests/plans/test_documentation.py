"""The page on taking a series says what its estimate really gives."""

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "take-a-series.md"


def test_the_examples_of_the_page_run():
    failures, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert failures == 0
    assert tried > 0
