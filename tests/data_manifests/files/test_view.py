"""The range of values that images are shown by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from data_manifests.files.view import measure_range


def test_no_data_does_not_count(tmp_path: Path) -> None:
    values = np.array([[1, 2, 3, 4, -9999, np.nan]], np.float32)
    tifffile.imwrite(tmp_path / "a.tif", values, extratags=[(42113, "s", 0, "-9999", True)])
    assert measure_range([tmp_path / "a.tif"], None, 0, 100) == (1, 4)


def test_opacity_does_not_count(tmp_path: Path) -> None:
    pixels = np.array([[(10, 20, 30, 255), (40, 50, 60, 0)]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert measure_range([tmp_path / "a.png"], None, 0, 100) == (10, 60)
    assert measure_range([tmp_path / "a.png"], (2,), 0, 100) == (20, 50)
