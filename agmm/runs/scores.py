"""Scores in a run folder, and as a table."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agmm.config.metrics import METRICS
from agmm.errors import TrainingError
from data_manifests.files.atomic import write_atomically
from data_manifests.files.csv import text_cell
from data_manifests.files.lock import FolderLock
from data_manifests.files.text import read_json

JSON_NAME = "evaluation.json"
CSV_NAME = "evaluation.csv"
CONFUSION_NAME = "confusion.csv"
PER_IMAGE_NAME = "per_image.csv"
#: Protocol name of the scores of the mixture.
MIXTURE_PROTOCOL = "Gaussian mixture with the sparse labels given"

#: Fields that identify a score, besides the checksum of the image names, which distinguishes splits with the same name
#: (records of older versions lack it). Newer scores replace older ones with the same identity.
_KEY = ("dataset", "split", "protocol", "num_images")


def save_records(folder: Path, records: Sequence[dict[str, Any]]) -> list[Path]:
    """Add scores to a folder; those of the same dataset, split, protocol and images are replaced.

    ``evaluation.json`` holds all records under ``results``, newest last; ``evaluation.csv`` has one line per record and
    class, ``confusion.csv`` one line per record and true class, with a column for each predicted class. Concurrent
    processes wait for each other.

    Args:
        folder: Usually the run folder.
        records: From ``EvalResult.to_dict``, with ``dataset`` and ``split``.

    Returns:
        The three files.

    Raises:
        TrainingError: If an existing ``evaluation.json`` cannot be read.
    """
    new = {_identity(record) for record in records}
    with _alone(folder):
        kept = [record for record in read_records(folder) if _identity(record) not in new]
        everything = [*kept, *records]
        contents = {
            JSON_NAME: json.dumps({"results": everything}, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
            CSV_NAME: _csv([*_KEY, "class", "iou", "accuracy", "boundary_iou"], map(_class_lines, everything)),
            CONFUSION_NAME: _csv(
                [*_KEY, "true_class", *(c["name"] for c in everything[0]["classes"])], map(_confusion_lines, everything)
            ),
        }
        for name, text in contents.items():
            write_atomically(folder / name, text.encode())
    return [folder / name for name in contents]


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Read the scores that ``save_records`` wrote to a folder, oldest first; empty if there is no file.

    Raises:
        TrainingError: If the file is damaged.
    """
    path = folder / JSON_NAME
    if not path.exists():
        return []
    try:
        records: list[dict[str, Any]] = read_json(path)["results"]
        for record in records:
            _check(record)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise TrainingError(f"{path}: damaged ({error!r}). Delete it and evaluate again.") from error
    return records


def format_table(record: dict[str, Any]) -> str:
    """Format the scores of one record in percent, as a table of its classes under the protocol.

    Args:
        record: As for ``save_records``.
    """
    width = max(*(len(metric.title) for metric in METRICS.values()), *(len(c["name"]) for c in record["classes"]))
    columns = ["iou", "accuracy"] + ([] if record["boundary_miou"] is None else ["boundary_iou"])
    titles = {"iou": "IoU", "accuracy": "accuracy", "boundary_iou": "boundary IoU"}
    count = record["num_images"]
    lines = [
        f"{record['split']} split, {count} image{'' if count == 1 else 's'}: {record['protocol']}",
        f"{'class':{width}}" + "".join(f"  {titles[column]:>12}" for column in columns),
    ]
    for c in record["classes"]:
        lines.append(f"{c['name']:{width}}" + "".join(f"  {_percent(c[column]):>12}" for column in columns))
    totals = {metric.title: record.get(name) for name, metric in METRICS.items()}
    if record["boundary_miou"] is not None:
        totals["boundary mIoU"] = record["boundary_miou"]
    lines += [f"{title:{width}}  {_percent(value):>12}" for title, value in totals.items()]
    return "\n".join(lines)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock the scores of a folder, so that concurrent processes lose none between reading and writing.

    The lock uses a temporary folder of its own, because a run holds the lock of its folder until it ends.
    """
    lock = FolderLock(own := folder / ".evaluation")
    while not lock.try_acquire():
        time.sleep(0.05)
    try:
        yield
    finally:
        with suppress(OSError):  # before the lock is released; a waiting process creates a new folder
            own.rmdir()
        lock.release()


def _check(record: dict[str, Any]) -> None:
    """Check the fields that tables and pages use.

    Raises:
        KeyError: If a field is missing.
        TypeError: If a field has the wrong type.
        ValueError: If a value is not one that ``save_records`` writes.
    """
    classes, confusion = record["classes"], record["confusion"]
    scores = [record["miou"], record["boundary_miou"], *(record.get(name) for name in METRICS)]
    scores += [c[name] for c in classes for name in ("iou", "accuracy", "boundary_iou")]
    words = [record["dataset"], record["split"], record["protocol"], *(c["name"] for c in classes)]
    counts = [record["num_images"], *(count for row in confusion for count in row)]
    if not (
        all(isinstance(word, str) for word in words)
        and all(score is None or (isinstance(score, int | float) and 0 <= score <= 1) for score in scores)
        and all(isinstance(count, int) and count >= 0 for count in counts)
        and classes
        and [len(row) for row in confusion] == [len(classes)] * len(classes)
    ):
        raise ValueError("a value has the wrong type or is out of range")


def _key(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record[name] for name in _KEY)


def _identity(record: dict[str, Any]) -> tuple[Any, ...]:
    return *_key(record), record.get("images_sha256")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _class_lines(record: dict[str, Any]) -> Iterable[list[Any]]:
    for c in record["classes"]:
        yield [*_key(record), c["name"], *("" if c[k] is None else c[k] for k in ("iou", "accuracy", "boundary_iou"))]


def _confusion_lines(record: dict[str, Any]) -> Iterable[list[Any]]:
    for c, counts in zip(record["classes"], record["confusion"], strict=True):
        yield [*_key(record), c["name"], *counts]


def _csv(header: Sequence[str], groups: Iterable[Iterable[list[Any]]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(text_cell, header))
    for group in groups:
        writer.writerows(map(text_cell, line) for line in group)
    return buffer.getvalue()
