"""Every reader of files that strangers may have written, with a whole file of each for the fuzzer to damage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from data_manifests import open_dataset, read_manifest
from data_manifests.files.images import read_image
from data_manifests.files.masks import read_mask
from data_manifests.layouts.class_tables import read_class_map, read_label_space
from data_manifests.manifest.io import load_manifest
from data_manifests.manifest.validate import check_manifest
from sparsekit.audit.cost_model import read_cost_model
from sparsekit.formats import IMPORTED
from sparsekit.formats.export import export_manifest
from sparsekit.formats.import_ import import_annotations
from tests.helpers.sam_masks import write_masks
from tests.sparsekit.formats.test_export_marks import MARKS, manifest_of


@dataclass(frozen=True)
class Reader:
    """A reader and what it reads.

    Args:
        folder: A folder that is whole.
        file: The file in it to damage.
        read: Reads the folder, or a copy of it.
    """

    folder: Path
    file: str
    read: Callable[[Path], object]


def write_readers(root: Path) -> dict[str, Reader]:
    """Write a whole file for each reader, and return them by name."""
    return _core_readers(root) | _import_readers(root) | _image_readers(root)


def text_reader(root: Path, name: str, text: str, read: Callable[[Path], object]) -> Reader:
    """A file of text in a folder of its own."""
    folder = root / name.replace(".", "-")
    folder.mkdir(parents=True)
    (folder / name).write_text(text)
    return Reader(folder, name, lambda copy: read(copy / name))


def _core_readers(root: Path) -> dict[str, Reader]:
    manifest_of(root / "m", MARKS)
    space = '[[classes]]\nname = "road"\ntrain_id = 0\nclass_ids = [7, 8]\ncolor = [128, 64, 128]\n'
    table = '{"name": "t", "classes": [{"name": "a", "train_id": 0, "class_ids": [1]}], "void_ids": [0, -1]}'
    readers = {
        "classes.csv": text_reader(
            root, "classes.csv", "name,id,r,g,b,train_id\nroad,7,1,2,3,0\nx,8,,,,\n", read_label_space
        ),
        "classes.json": text_reader(root, "classes.json", table, read_label_space),
        "classes.toml": text_reader(root, "classes.toml", space + "void_ids = [0]\n", read_label_space),
        "map.toml": text_reader(root, "map.toml", 'vehicle = ["car", "bus"]\nvoid = []\n', read_class_map),
        "cost.toml": text_reader(
            root, "cost.toml", "seconds_per_click = 3.0\nseconds_per_image = 1\n", read_cost_model
        ),
    }
    for name in ("manifest.csv", "manifest.json", "marks.csv"):
        readers[name] = Reader(root / "m", name, _check)
    for name in ("agmm", "coco", "labelme"):
        write = partial(_export, name)
        readers[f"manifest.csv to {name}"] = Reader(root / "m", "manifest.csv", write)
    return readers


def _check(folder: Path) -> object:
    manifest, unreadable = load_manifest(folder / "manifest.csv")
    return check_manifest(manifest, unreadable=unreadable), read_manifest(folder)


def _export(format_: str, folder: Path) -> object:
    return export_manifest(read_manifest(folder), format_, folder / "exported", lossy=True)


def _import_readers(root: Path) -> dict[str, Reader]:
    (root / "m/data/classes.csv").write_text("name,id\n" + "".join(f"class_{i},{i}\n" for i in range(3)))
    readers = {}
    for name in sorted(IMPORTED):
        folder = root / f"in-{name}"
        try:
            exported = export_manifest(read_manifest(root / "m"), name, folder / "in", lossy=True).folder
        except Exception:  # a format that is read alone
            continue
        shutil.copytree(root / "m/data", folder / "data")
        if name == "sam":
            write_masks(exported)
        endings = (".json", ".xml", ".png", ".zip", ".npz")
        files = sorted(path for path in exported.rglob("*") if path.suffix in endings)
        for file in {path.suffix: path for path in files}.values():
            relative = str(file.relative_to(folder))
            readers[f"{name} {file.suffix}"] = Reader(folder, relative, partial(_import, name))
    return readers


def _import(format_: str, folder: Path) -> object:
    return import_annotations(folder / "in", format_, open_dataset(folder / "data"), folder / "back")


def _image_readers(root: Path) -> dict[str, Reader]:
    folder = root / "images"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 4, (12, 16)).astype(np.uint8)
    grey, rgb = Image.fromarray(pixels), Image.fromarray(np.dstack([pixels] * 3))
    grey.save(folder / "a.png")
    rgb.save(folder / "b.png")
    rgb.save(folder / "c.jpg")
    grey.save(folder / "d.tif", compression="tiff_lzw")
    rgb.save(folder / "e.webp", lossless=True)
    rgb.save(folder / "f.gif")
    rgb.save(folder / "g.bmp")
    return {
        f"image {path.suffix} {path.stem}": Reader(folder, path.name, partial(_look, path.name))
        for path in folder.iterdir()
    }


def _look(name: str, folder: Path) -> object:
    try:
        read_mask(folder / name)
    finally:
        read_image(folder / name)
    return None
