"""The layout that docs/layouts.md shows works as it stands, and the page names every layout."""

from __future__ import annotations

import re
from pathlib import Path

from data_manifests import LAYOUTS, open_dataset
from tests.helpers import miniature_datasets as mini

PAGE = (Path(__file__).parents[2] / "docs" / "layouts.md").read_text(encoding="utf-8")


def test_every_layout_is_in_the_table():
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(LAYOUTS)


def test_the_layout_of_the_page(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(code.splitlines()) < 40
    module: dict[str, object] = {}
    exec(code, module)
    monkeypatch.setitem(LAYOUTS, "my_dataset", module["LAYOUT"])
    for name in ("a", "b"):
        mini.save_image(tmp_path / "rgb" / f"{name}.jpg", (1, 2))
        mini.save_mask(tmp_path / "labels" / f"{name}_label.png", [[0, 1]])
    (tmp_path / "val.txt").write_text("b\n")
    (tmp_path / "classes.csv").write_text("id,name\n0,x\n1,y\n")
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "my_dataset" and dataset.label_space.class_names == ("x", "y")
    assert [(item.image_id, item.split) for item in dataset.items] == [("a", "train"), ("b", "val")]
