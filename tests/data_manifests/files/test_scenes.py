"""Scenes that cannot be read window by window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from data_manifests import DataError
from data_manifests.files.scenes import open_scene


@pytest.mark.parametrize("tag", [(274, "H", 1, 6, True), None], ids=["turned", "palette"])
def test_windows_would_be_of_other_pixels(tmp_path: Path, tag: tuple[object, ...] | None) -> None:
    how = {"extratags": [tag]} if tag else {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 6), np.uint8), **how)
    with pytest.raises(DataError, match="without palette, stored upright"), open_scene(tmp_path / "a.tif"):
        pass
