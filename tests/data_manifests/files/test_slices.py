"""Hostile notes on where slices lie in their volumes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from data_manifests import DataError
from data_manifests.files.slices import NOTE, slice_of
from data_manifests.files.volumes import Grid

GRID = Grid((2, 3, 4), tuple(map(tuple, np.eye(4).tolist()))).to_dict()
#: A huge volume once had its memory allocated, and infinite places once gave a traceback.
DAMAGED = {
    "not JSON": "{",
    "no volumes": "{}",
    "no shape": json.dumps({"volumes": {"a": {}}}),
    "a huge volume": json.dumps({"volumes": {"a": GRID | {"shape": [10**6, 10**6, 10**6]}}}),
    "parts of voxels": json.dumps({"volumes": {"a": GRID | {"shape": [2, 3, 4.5]}}}),
    "another axis": json.dumps({"volumes": {"a": GRID | {"axis": "oblique"}}}),
    "far away": json.dumps({"volumes": {"a": GRID | {"affine": (np.eye(4) * 1e308).tolist()}}}),
    "nowhere": json.dumps({"volumes": {"a": GRID | {"affine": np.zeros((4, 4)).tolist()}}}),
    "digits": json.dumps({"volumes": {"a": GRID | {"affine": [[10**400] * 4] * 4}}}),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_notes_are_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / NOTE).write_text(DAMAGED[kind])
    with pytest.raises(DataError, match=NOTE):
        slice_of(tmp_path / "masks/a/slice_000.png")


def test_a_whole_note_is_read(tmp_path: Path) -> None:
    (tmp_path / NOTE).write_text(json.dumps({"volumes": {"a": GRID}}))
    place = slice_of(tmp_path / "images/a/slice_001.tif")
    assert place is not None and (place.volume, place.number, place.grid.to_dict()) == ("a", 1, GRID)
