"""Describe a dataset folder or a manifest: its contents and anomalies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from data_manifests.errors import DataError, counted, list_some
from data_manifests.files.decode import read_header
from data_manifests.files.samples import Header
from data_manifests.label_space import LabelSpace
from data_manifests.layouts import Dataset, DatasetItem
from data_manifests.layouts.base import read_full_mask
from data_manifests.layouts.image_notes import notes_of
from data_manifests.manifest.schema import Manifest

#: Number of sizes to list; others are counted together.
_MAX_SIZES = 5

#: Number of unusable files to list; others are only counted.
_MAX_PROBLEMS = 10


@dataclass(frozen=True)
class _Found:
    """Findings about one item."""

    split: str
    size: str
    mask_kind: str
    pixels: tuple[int, ...]
    header: Header | None = None
    problem: str = ""


def describe_dataset(
    dataset: Dataset, *, workers: int = 1, on_image: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Read the header of every image and decode every mask of a dataset.

    Args:
        dataset: Any dataset.
        workers: Threads; the result is the same.
        on_image: Called after each image.

    Returns:
        Plain data: layout, splits, sizes, encodings, label space with the share of each class, and anomalies, one
        sentence each.
    """
    with ThreadPoolExecutor(workers) as pool:
        found = []
        for one in pool.map(partial(_look_at, dataset), dataset.items):
            found.append(one)
            on_image()
    space = dataset.label_space
    pixels = np.array([f.pixels for f in found if not f.problem], np.int64).reshape(-1, space.num_classes + 1)
    sound = [item for item, f in zip(dataset.items, found, strict=True) if not f.problem]
    return {
        "dataset": str(dataset.root),
        "layout": dataset.layout,
        "splits": dict(sorted(Counter(f.split for f in found).items())),
        "sizes": _sizes(f.size for f in found if f.size),
        "mask_encoding": dataset.encoding,
        "mask_files": dict(Counter(f.mask_kind for f in found if f.mask_kind).most_common()),
        "instances": sum(item.instance_path is not None for item in dataset.items),
        "label_space": space.name,
        "classes": _class_table(space, pixels),
        "void_share": _share(pixels[:, -1].sum(), pixels.sum()),
        "anomalies": [
            *dataset.notes,
            *_first_problems([f.problem for f in found if f.problem]),
            *notes_of([f.header for f in found if f.header and not f.problem]),
            *_class_anomalies(space, pixels, [item.image_id for item in sound]),
        ],
    }


def describe_manifest(manifest: Manifest) -> dict[str, Any]:
    """Summarize a manifest from its rows alone; ``check_manifest`` reads the files.

    Returns:
        Plain data: provenance, splits, sizes, labels, and the number of images with a label of each class.
    """
    annotated = [row for row in manifest.rows if row.annotation]
    labels = [row.num_labelled for row in annotated]
    num_pixels = sum(row.height * row.width for row in annotated)
    images = Counter(c for row in annotated for c in row.classes_labelled)
    space, info = manifest.label_space, manifest.info
    unlabelled = [row.image_id for row in annotated if not row.num_labelled]
    never = [name for i, name in enumerate(space.class_names) if not images[i]]
    return {
        "manifest": str(manifest.path),
        "dataset": info.dataset,
        "layout": info.layout,
        "command": info.command,
        "settings": dict(info.settings),
        "tool_version": info.tool_version,
        "splits": manifest.splits,
        "annotated": dict(sorted(Counter(row.split for row in annotated).items())),
        "sizes": _sizes(f"{row.width}x{row.height}" for row in manifest.rows),
        "mask_encoding": info.mask_encoding,
        "unlabelled_value": space.unlabelled_value,
        "labelled_pixels": {
            "sum": sum(labels),
            "per_image": sum(labels) / len(labels) if labels else 0.0,
            "fewest": min(labels, default=0),
            "most": max(labels, default=0),
            "share": _share(sum(labels), num_pixels),
        },
        "label_space": space.name,
        "classes": [{"train_id": i, "name": name, "images": images[i]} for i, name in enumerate(space.class_names)],
        "anomalies": [
            f"{counted(len(names), *noun)} without any label: {list_some(names)}."
            for noun, names in ((("annotation",), unlabelled), (("class", "classes"), never if annotated else []))
            if names
        ],
    }


def _look_at(dataset: Dataset, item: DatasetItem) -> _Found:
    try:
        header = read_header(item.image_path) if item.image_path else None
        mask = read_full_mask(item, dataset.encoding)
        space = dataset.label_space
        _, counts = space.to_train_ids_and_counts(mask, dataset.encoding, item.mask)
        pixels = (*counts.tolist(), mask.size - int(counts.sum()))
        pixels_are = "colours" if mask.dtype == np.uint32 else mask.dtype  # read_mask packs RGB in 32 bits
        kind = f"{item.mask.suffix.lower().removeprefix('.')}, {pixels_are}"
        return _Found(item.split, f"{mask.shape[1]}x{mask.shape[0]}", kind, pixels, header)
    except (DataError, OSError) as error:
        return _Found(item.split, "", "", (), problem=str(error))


def _sizes(sizes: Iterable[str]) -> dict[str, int]:
    """Number of images by width x height, the most frequent first; the rest are counted together."""
    counts = Counter(sizes).most_common()
    shown = dict(counts[:_MAX_SIZES])
    if rest := counts[_MAX_SIZES:]:
        shown[counted(len(rest), "other size")] = sum(count for _, count in rest)
    return shown


def _class_table(space: LabelSpace, pixels: np.ndarray[Any, np.dtype[np.int64]]) -> list[dict[str, Any]]:
    labelled = int(pixels[:, :-1].sum())
    return [
        {
            "train_id": i,
            "class_ids": list(c.class_ids),
            "name": c.name,
            "images": int(np.count_nonzero(pixels[:, i])),
            "share": _share(pixels[:, i].sum(), labelled),
        }
        for i, c in enumerate(space.classes)
    ]


def _first_problems(problems: list[str]) -> list[str]:
    more = counted(len(problems) - _MAX_PROBLEMS, "more mask or image", "more masks or images")
    return problems[:_MAX_PROBLEMS] + ([f"{more} cannot be used."] if len(problems) > _MAX_PROBLEMS else [])


def _class_anomalies(space: LabelSpace, pixels: np.ndarray[Any, np.dtype[np.int64]], ids: list[str]) -> list[str]:
    anomalies = []
    void = [image_id for image_id, labelled in zip(ids, pixels[:, :-1].sum(axis=1), strict=True) if not labelled]
    if void:
        anomalies.append(f"{counted(len(void), 'mask is', 'masks are')} void everywhere: {list_some(void)}.")
    never = [name for name, count in zip(space.class_names, pixels.sum(axis=0)[:-1], strict=True) if not count]
    if never and ids:
        anomalies.append(f"{counted(len(never), 'class occurs', 'classes occur')} in no mask: {list_some(never)}.")
    return anomalies


def _share(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else 0.0
