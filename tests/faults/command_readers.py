"""Readers of commands that take several manifests, or the output of a network; see :mod:`tests.faults.readers`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from data_manifests import Manifest, open_dataset, read_manifest
from data_manifests.files.atomic import write_atomically
from data_manifests.files.masks import encode_label_map
from data_manifests.manifest.relocate import relocate_manifest
from sparsekit import ClickAnnotator, ClickSettings, Guide, synthesize
from sparsekit.audit.agreement import format_agreement, measure_agreement
from sparsekit.grow.manifest import grow_manifest
from sparsekit.grow.settings import GrowSettings
from sparsekit.synthesis.combine import Way, combine_manifests
from tests.faults.readers import Reader
from tests.sparsekit.formats.test_export_marks import CLICKS, MARKS, SHAPE, manifest_of


def write_command_readers(root: Path) -> dict[str, Reader]:
    """Write a whole file for each reader, and return them by name."""
    folder = root / "commands"
    manifest_of(folder / "ann", MARKS)
    manifest_of(folder / "ben", CLICKS)
    (folder / "ann/data/classes.csv").write_text("name,id\n" + "".join(f"class_{i},{i}\n" for i in range(3)))
    space = read_manifest(folder / "ann").label_space
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), SHAPE).transpose(2, 0, 1)
    (folder / "net").mkdir()
    np.save(folder / "net/image_0.npy", probabilities.astype(np.float16))
    write_atomically(folder / "net/image_0.png", encode_label_map(probabilities.argmax(0).astype(np.uint8), space))
    cells = read_manifest(folder / "ann").to_pandas().to_dict("list")
    (folder / "frame.json").write_text(json.dumps({name: list(map(_plain, column)) for name, column in cells.items()}))
    return {
        "manifest.csv to grow": Reader(folder, "ann/manifest.csv", _grow),
        "annotation to grow": Reader(folder, "ann/sparse/image_0.png", _grow),
        "manifest.csv to agree": Reader(folder, "ann/manifest.csv", _agree),
        "annotation to agree": Reader(folder, "ben/sparse/image_0.png", _agree),
        "manifest.json to agree": Reader(folder, "ben/manifest.json", _agree),
        "manifest.csv to vote": Reader(folder, "ben/manifest.csv", partial(_combine, "vote")),
        "marks.csv to unite": Reader(folder, "ben/marks.csv", partial(_combine, "union")),
        "annotation to vote": Reader(folder, "ben/sparse/image_0.png", partial(_combine, "vote")),
        "manifest.csv to add to": Reader(folder, "ben/manifest.csv", _add),
        "marks.csv to add to": Reader(folder, "ben/marks.csv", _add),
        "manifest.json to add to": Reader(folder, "ben/manifest.json", _add),
        "manifest.csv to relocate": Reader(folder, "ben/manifest.csv", _relocate),
        "probabilities": Reader(folder, "net/image_0.npy", partial(_guided, "uncertain")),
        "predictions": Reader(folder, "net/image_0.png", partial(_guided, "corrective")),
        "frame.json": Reader(folder, "frame.json", _frame),
    }


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _grow(folder: Path) -> object:
    settings = GrowSettings("random-walker", max_size=16)
    return grow_manifest(read_manifest(folder / "ann"), settings, folder / "exported")


def _agree(folder: Path) -> object:
    found = measure_agreement(read_manifest(folder / "ann"), read_manifest(folder / "ben"))
    return format_agreement(found), found.to_dict()


def _combine(way: Way, folder: Path) -> object:
    return combine_manifests([read_manifest(folder / "ann"), read_manifest(folder / "ben")], folder / "exported", way)


def _add(folder: Path) -> object:
    return synthesize(read_manifest(folder / "ben"), ClickAnnotator((2,), ClickSettings()), folder / "exported")


def _relocate(folder: Path) -> object:
    return relocate_manifest(read_manifest(folder / "ben"), folder / "ben/data")


def _guided(strategy: str, folder: Path) -> object:
    guide = Guide(strategy, folder / "net", "entropy" if strategy == "uncertain" else "margin")
    dataset = open_dataset(folder / "ann/data")
    return synthesize(dataset, ClickAnnotator((3,), ClickSettings(strategy), guide), folder / "exported")


def _frame(folder: Path) -> Manifest | None:
    try:
        frame = pd.DataFrame(json.loads((folder / "frame.json").read_text()))
    except Exception:  # no table, which pandas says
        return None
    return Manifest.from_pandas(frame, read_manifest(folder / "ann"))
