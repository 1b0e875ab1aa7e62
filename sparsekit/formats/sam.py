"""Segment Anything: prompts as the processors of Hugging Face take them, and the masks that the model returns.

Each mark is a prompt of its own. Coordinates are (x, y) of pixels, whose centres the model takes.
"""

from __future__ import annotations

import json
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from data_manifests import Mark
from data_manifests.errors import counted
from data_manifests.files.npy import read_npy_header
from sparsekit.errors import AnnotationError
from sparsekit.formats import Format
from sparsekit.formats.shared.files import damage_of, is_hidden, read_json
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.source import Drawn, Imported, ImportSource, check_shape
from sparsekit.geometry.polylines import Ints

#: Coordinate and label of points that fill up a prompt, which the model ignores.
_PADDING = -10

#: What a damaged archive raises.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, OSError,
)  # fmt: skip

#: Marks that are prompts of points; the others are boxes.
_POINTS = ("click", "stroke")

_EXACT = ("click", "box")


def write(job: ExportJob) -> None:
    """Write ``prompts/<name>.json`` and ``images/``; ``masks/<name>.npz`` is for what the model returns."""
    for image in job.annotated(with_marks=True):
        name = job.name(image.row)
        points = [mark for mark in image.marks if mark.kind in _POINTS]
        boxes = [mark for mark in image.marks if mark.kind not in _POINTS]
        data: dict[str, Any] = {
            "image": job.put_image(image, f"images/{name}", rgb=True),
            "height": image.row.height,
            "width": image.row.width,
            **({"points": _point_prompts(points)} if points else {}),
            **({"boxes": {"input_boxes": [[_box(mark) for mark in boxes]]}} if boxes else {}),
            "classes": {
                kind: [job.space.class_names[mark.class_id] for mark in marks]
                for kind, marks in (("points", points), ("boxes", boxes))
                if marks
            },
        }
        job.write(f"prompts/{name}.json", json.dumps(data, ensure_ascii=False) + "\n")


def _point_prompts(marks: list[Mark]) -> dict[str, Any]:
    """Nested as image, prompt, point, (x, y); prompts of an image have equally many points."""
    most = max(len(mark.points) or 1 for mark in marks)
    points, labels = [], []
    for mark in marks:
        own = [[col, row] for row, col in mark.points or ((mark.row, mark.col),)]
        padding = most - len(own)
        points.append(own + [[_PADDING, _PADDING]] * padding)
        labels.append([1] * len(own) + [_PADDING] * padding)
    return {"input_points": [points], "input_labels": [labels]}


def _box(mark: Mark) -> list[int]:
    """Left, top, right and lower pixel of the box around a mark."""
    rows, cols = zip(*mark.points, strict=True)
    return [min(cols), min(rows), max(cols), max(rows)]


def losses(job: ExportJob) -> list[str]:
    """Notes on information that prompts cannot hold."""
    counts = job.census.kinds if job.census else {}
    kinds = sorted(kind for kind in counts if kind not in _EXACT)
    return [f"{counted(counts[kind], kind)} as {'points' if kind in _POINTS else 'boxes'}" for kind in kinds]


def read(source: ImportSource) -> Iterator[Imported]:
    """Masks of the images that have some; where masks overlap, the one of the higher score is on top.

    Of the masks of a prompt, the one of the highest score counts. The pixels of points keep their own class.
    """
    folder = source.folder / "prompts"
    paths = sorted(path for path in folder.rglob("*.json") if not is_hidden(path, folder))
    if not paths:
        raise AnnotationError(f"{source.folder}: expected prompts/ of `sparsekit export --to sam`, found none.")
    if not any((source.folder / "masks").rglob("*.npz")):
        raise AnnotationError(f"{source.folder}: expected masks/, one NAME.npz for each of prompts/, found none.")
    for path in paths:
        below = path.relative_to(folder).with_suffix("").as_posix()
        masks_path = source.folder / "masks" / f"{below}.npz"
        if not masks_path.is_file():
            source.notes["images without masks: left out"] += 1
            continue
        data = read_json(path)
        with damage_of(path, "prompts for SAM"):
            item = source.find(below, str(data["image"]))
            if item is None:
                continue
            shape = check_shape(item, (data["height"], data["width"]), path)
            yield Imported(item, shape, tuple(_drawn(source, data, masks_path, shape)))


def _drawn(source: ImportSource, data: dict[str, Any], path: Path, shape: tuple[int, int]) -> list[Drawn]:
    """The drawn masks, uppermost first."""
    points, masks = [], []
    for kind, names in data["classes"].items():
        class_ids = [source.class_id(name) for name in names]
        if kind == "points":
            points = list(_prompted(data, class_ids, shape))
        with damage_of(path, "masks and scores of SAM"):
            masks += list(_masks(path, kind, class_ids, shape))
    masks.sort(key=lambda found: -found[0])  # stable: of equal scores, the earlier prompt
    return [*points, *(drawn for _, drawn in masks)]


def _prompted(data: dict[str, Any], class_ids: list[int | None], shape: tuple[int, int]) -> Iterator[Drawn]:
    """The pixels of the points, whose classes are known."""
    (points,), (labels,) = data["points"]["input_points"], data["points"]["input_labels"]
    for class_id, of_prompt, kinds in zip(class_ids, points, labels, strict=True):
        pixels = [(int(y), int(x)) for (x, y), kind in zip(of_prompt, kinds, strict=True) if kind == 1]
        if any(not (0 <= row < shape[0] and 0 <= col < shape[1]) for row, col in pixels):
            raise ValueError("a point lies outside of the image")
        if class_id is not None:
            yield Drawn(class_id, pixels=np.unique(np.array([row * shape[1] + col for row, col in pixels], np.int64)))


def _masks(path: Path, kind: str, class_ids: list[int | None], shape: tuple[int, int]) -> Iterator[tuple[float, Drawn]]:
    """Score and best mask of each prompt."""
    try:
        with zipfile.ZipFile(path) as archive:
            scores = _read_scores(archive, f"{kind}_scores.npy", len(class_ids))
            found = _read_masks(archive, f"{kind}_masks.npy", (*scores.shape, *shape))
            for class_id, of_prompt, masks in zip(class_ids, scores, found, strict=True):
                best = int(of_prompt.argmax())
                pixels: Ints = np.flatnonzero(masks[best])
                if class_id is not None:
                    yield float(of_prompt[best]), Drawn(class_id, pixels=pixels)
    except _DAMAGE as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _read_scores(archive: zipfile.ZipFile, name: str, num_prompts: int) -> NDArray[np.float64]:
    """Scores of each mask of each prompt, shape (prompts, masks)."""
    with _opened(archive, name) as (shape, dtype, data):
        shape = shape if len(shape) == 2 else (*shape, 1)
        if len(shape) != 2 or shape[0] != num_prompts or not 1 <= shape[1] <= 16 or dtype.kind != "f":
            raise ValueError(f"{name} must be numbers of shape ({num_prompts}, masks), got {dtype} of shape {shape}")
        scores = np.frombuffer(data.read(dtype.itemsize * shape[0] * shape[1]), dtype).astype(np.float64)
    if not np.isfinite(scores).all():
        raise ValueError(f"{name} holds scores that are no numbers")
    return scores.reshape(shape)


def _read_masks(archive: zipfile.ZipFile, name: str, expected: tuple[int, ...]) -> Iterator[NDArray[np.bool_]]:
    """Masks of each prompt, shape (masks, H, W), read one prompt at a time."""
    with _opened(archive, name) as (shape, dtype, data):
        if (shape if len(shape) == 4 else (*shape[:1], 1, *shape[1:])) != expected or dtype.kind not in "bu":
            raise ValueError(f"{name} must be masks of shape {expected}, got {dtype} of shape {shape}")
        size = dtype.itemsize * int(np.prod(expected[1:]))
        for _ in range(expected[0]):
            yield np.frombuffer(data.read(size), dtype).reshape(expected[1:]) != 0


@contextmanager
def _opened(archive: zipfile.ZipFile, name: str) -> Iterator[tuple[tuple[int, ...], np.dtype[Any], IO[bytes]]]:
    """Shape and type of an array, as its header says, and the file at its first value; pickles are refused."""
    if name not in archive.namelist():
        raise ValueError(f"{name.removesuffix('.npy')} is missing")
    with archive.open(name) as data:
        shape, is_fortran, dtype = read_npy_header(data)
        if is_fortran or dtype.hasobject:
            raise ValueError(f"{name} must be a plain array in C order")
        yield shape, dtype, data


FORMAT = Format(write, read, needs_marks=True, losses=losses)
