"""The list of formats, which loads none of them."""

from __future__ import annotations

import pytest

from sparsekit.formats import EXPORTED, FORMATS, IMPORTED, load_format


@pytest.mark.parametrize("name", FORMATS)
def test_formats_do_what_the_list_says(name: str) -> None:
    found = load_format(name, "export")
    assert (found.read is not None) == (name in IMPORTED) and name in EXPORTED
    assert found.values is not None or found.needs_marks  # something to write


@pytest.mark.parametrize(("name", "direction"), [("word", "export"), ("hf", "import"), ("croissant", "export")])
def test_unknown_formats(name: str, direction: str) -> None:
    with pytest.raises(ValueError, match=f"Unknown format '{name}'. Choose from: agmm, tel, urss"):
        load_format(name, direction)
