"""Images for the annotations of ``foreign``."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from data_manifests import Dataset, open_dataset
from tests.sparsekit.formats.foreign import HEIGHT, IDS, WIDTH


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    for name in IDS:
        for folder in ("images", "masks"):
            path = tmp_path / "ds" / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (WIDTH, HEIGHT)).save(path)
    (tmp_path / "ds/classes.csv").write_text("id,name\n0,ground\n1,tree\n2,grün\n")
    return open_dataset(tmp_path / "ds")
