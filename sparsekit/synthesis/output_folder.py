"""An output folder that is complete or absent, and resumes after an interruption.

It is built under a hidden name beside its destination and renamed when it is complete. On an object store it is built
in place, and the manifest, written last, completes it. A journal in the folder has a line for each finished image; the
processes of a job array share the folder and keep one journal each.
"""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from data_manifests import (
    Manifest,
    ManifestInfo,
    ManifestRow,
    Mark,
    read_manifest,
    read_marks,
    write_manifest,
    write_marks,
)
from data_manifests.errors import counted
from data_manifests.files.atomic import remove_unfinished, write_atomically
from data_manifests.files.lock import FolderLock
from data_manifests.files.paths import is_remote, remove_tree, replace_tree
from data_manifests.manifest.io import info_to_json
from data_manifests.manifest.rows import read_row_annotation, read_row_full_mask
from sparsekit.errors import AnnotationError
from sparsekit.synthesis.annotation_files import num_reached
from sparsekit.synthesis.journal import Journal

T = TypeVar("T")

#: The column that counts, for strokes that may cross borders, labelled pixels of another class or void.
OFF_CLASS = "off_class_pixels"

#: Describes the unfinished run. The process that renames it to the second name moves the folder to its destination.
_RUN, _CLAIMED = "run.json", "run-finishing.json"


def partial_dir(folder: Path) -> Path:
    """Return the path where a folder is built; on an object store, which cannot rename, the destination itself."""
    return folder if is_remote(folder) else folder.with_name(f".{folder.name}.partial")


@dataclass(frozen=True)
class FolderSummary:
    """Summary of one variant.

    Args:
        folder: The output folder.
        num_images: Number of annotated images.
        num_marks: Number of marks on all of them.
        num_labelled: Number of labelled pixels on all of them.
        classes_present: Number of classes in the full masks, summed over images.
        classes_reached: Number of classes with a label on a pixel of their own, summed over images.
        num_void_images: Images whose mask is entirely void.
        num_short_images: Images with fewer clicks than requested: not enough annotated pixels, or none that keep the
            minimum distance. Not counted where the number of instances decides.
        num_off_class: Number of labelled pixels of another class or void, if strokes may cross borders.
        num_evaluation_images: Images listed without an annotation, for evaluation.
        already_there: The folder already held this result and was not touched; ``classes_present`` and
            ``num_short_images``, which require the full masks, are 0.
        missing_shards: Number of unfinished shards; until they finish, counts cover only this shard.
    """

    folder: Path
    num_images: int = 0
    num_marks: int = 0
    num_labelled: int = 0
    classes_present: int = 0
    classes_reached: int = 0
    num_void_images: int = 0
    num_short_images: int = 0
    num_off_class: int = 0
    num_evaluation_images: int = 0
    already_there: bool = False
    missing_shards: int = 0


@dataclass(frozen=True)
class ImageResult:
    """One image in one variant, as recorded in the journal."""

    row: ManifestRow
    marks: tuple[Mark, ...]
    classes_present: int
    classes_reached: int
    annotated_pixels: int

    def to_json(self) -> str:
        """One line."""
        marks = [(m.kind, m.class_id, m.row, m.col, m.points, m.widths, m.region) for m in self.marks]
        return json.dumps([asdict(self.row), marks, self.classes_present, self.classes_reached, self.annotated_pixels])

    @classmethod
    def from_json(cls, line: str) -> ImageResult:
        """Parse a line written by ``to_json``."""
        row, marks, *counts = json.loads(line)
        return cls(
            ManifestRow(**row | {name: _as_tuples(row[name]) for name in ("classes_labelled", "extra")}),
            tuple(map(_read_mark, marks)),
            *counts,
        )


def _as_tuples(values: list[Any]) -> tuple[Any, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def _read_mark(cells: list[Any]) -> Mark:
    kind, class_id, row, col, points, widths, region = cells
    return Mark(kind, class_id, row, col, tuple((r, c) for r, c in points), tuple(widths), region)


def shard_of(items: Sequence[T], shard: tuple[int, int]) -> Sequence[T]:
    """Return every n-th item, starting with the i-th, for shard (i, n); i counts from 1."""
    return items[shard[0] - 1 :: shard[1]]


class OutputFolder:
    """One output folder: prepare, record each image, close, finish.

    Args:
        folder: Its destination.
        info: Contents of ``manifest.json``; an existing folder with the same contents is the same result.
        image_ids: All images of the run, sorted, including those of other shards.
        how: Further properties that an interrupted run must share with this one to be resumed.
        shard: Index of this process, from 1, and number of processes that fill the folder together. Each keeps its own
            journal; the one that finds all journals complete moves the folder to its destination.
        has_marks: Whether the annotations are drawn marks; ``marks.csv`` is written for those alone.
    """

    def __init__(
        self,
        folder: Path,
        info: ManifestInfo,
        image_ids: list[str],
        how: dict[str, Any],
        shard: tuple[int, int] = (1, 1),
        *,
        has_marks: bool = True,
    ) -> None:
        self.folder = folder
        self.complete = False
        self._info = info
        self._image_ids = image_ids
        self._run = json.dumps({"info": info_to_json(info), **how, "shards": shard[1], "images": image_ids}).encode()
        self._shard = shard
        self._has_marks = has_marks
        self._done: set[str] = set()
        self._partial = partial_dir(folder)
        self._appending: Journal | None = None
        self._lock = FolderLock(self._partial)

    def lacks(self, image_id: str) -> bool:
        """Whether an image is not finished yet."""
        return not self.complete and image_id not in self._done

    def prepare(self, overwrite: bool) -> None:
        """Check what exists already: a complete result, a partial one, or something in the way."""
        run = self._partial / _RUN
        if (claimed := self._partial / _CLAIMED).is_file():
            self._lock.acquire(self._partial)  # fails if its process is still running
            claimed.rename(run)
        if (self.folder / "manifest.csv").is_file():
            if not overwrite:
                self.complete = self.is_finished()
                return
            if self._partial == self.folder:
                remove_tree(self.folder)
        elif _is_there(self.folder) and not (self._partial == self.folder and run.is_file()):
            raise AnnotationError(f"{self.folder}: exists but holds no manifest.csv. Give another --out.")
        if _is_there(self._partial) and not (run.is_file() and run.read_bytes() == self._run):
            if self._shard[1] > 1:  # other shards may be using it
                raise AnnotationError(
                    f"{self._partial}: contains part of another run. Remove it, or give another --out."
                )
            self._lock_alone()
            remove_tree(self._partial)
        self._lock_alone()
        write_atomically(run, self._run)
        journal = self._journal(self._shard[0])
        if not journal.open():
            raise AnnotationError(
                f"{self._partial}: another process is writing shard {self._shard[0]} of {self._shard[1]}. Wait until "
                "it ends, or start another shard."
            )
        self._appending = journal
        self._done = {ImageResult.from_json(line).row.image_id for line in self._appending.lines()}

    def is_finished(self) -> bool:
        """Whether the folder holds this result; an error if it holds another."""
        if not (self.folder / "manifest.csv").is_file():
            return False
        advice = "Give --overwrite to replace it, or another --out."
        manifest = read_manifest(self.folder / "manifest.csv")
        if info_to_json(manifest.info) != info_to_json(self._info):
            settings = _differing_settings(manifest.info, self._info)
            differing = f" ({settings})" if settings else ""
            raise AnnotationError(
                f"{self.folder}: contains an annotation made with other settings{differing}. {advice}"
            )
        there, ours = {row.image_id for row in manifest.rows}, set(self._image_ids)
        if there != ours:
            (example, only), *_ = sorted(
                [(i, "the folder") for i in there - ours] + [(i, "this run") for i in ours - there]
            )
            raise AnnotationError(
                f"{self.folder}: contains {counted(len(there), 'image')}, but this run has {len(ours)}; "
                f"{example!r} is only in {only}. {advice}"
            )
        return True

    def _lock_alone(self) -> None:
        """Lock out other processes, unless they are shards, which share the folder."""
        self.release()
        if self._shard[1] == 1:
            self._lock.acquire(self._partial)

    def release(self) -> None:
        """Release the folder for other processes."""
        self._lock.release()

    def record(self, result: ImageResult) -> None:
        """Record a finished image, unless it was recorded before."""
        if self._appending is not None and self.lacks(result.row.image_id):
            self._appending.append(result.to_json())
            self._done.add(result.row.image_id)

    def close(self) -> None:
        """Close the journal; a run without any finished image leaves nothing behind."""
        if self._appending is None:
            return
        self._appending.close()
        self._appending = None
        if not self._done and self._shard[1] == 1:
            remove_tree(self._partial)

    def finish(self) -> FolderSummary:
        """Write manifest and marks, and move the folder to its destination, unless other shards are unfinished."""
        if self.complete:
            return self._summary_of_existing()
        if not self._is_whole(self._shard[0]):  # another shard has moved the folder to its destination
            return self._summary_of_existing()
        missing = sum(not self._is_whole(number) for number in range(1, self._shard[1] + 1))
        if not missing and not self._claim():
            missing = 1  # another shard also found all journals complete and finishes the folder
        rows = []
        summary = FolderSummary(self.folder, missing_shards=missing)

        def summed() -> Iterator[ImageResult]:
            nonlocal summary
            for result in self._results([self._shard[0]] if missing else range(1, self._shard[1] + 1)):
                rows.append(result.row)
                summary = _add(summary, result, self._info.settings)
                yield result

        if missing or not self._has_marks:
            deque(summed(), maxlen=0)
        else:  # the marks of all images may exceed memory
            write_marks(self._partial / "marks.csv", ((r.row.image_id, r.marks) for r in summed()))
        if not missing:
            self._put_in_place(rows)
        elif not self._is_whole(self._shard[0]):  # moved by another shard in the meantime
            return self._summary_of_existing()
        return summary

    def _claim(self) -> bool:
        """Whether this process may move the folder to its destination."""
        try:
            (self._partial / _RUN).rename(self._partial / _CLAIMED)
        except FileNotFoundError:
            return False
        if self._shard[1] > 1:
            self._lock.try_acquire()  # distinguishes a new shard from one that resumes after this process was killed
        return True

    def _put_in_place(self, rows: list[ManifestRow]) -> None:
        write_manifest(Manifest(self._partial / "manifest.csv", tuple(rows), self._info))
        if self._partial != self.folder:
            remove_unfinished(self._partial)
            replace_tree(self._partial, self.folder)
        for number in range(1, self._shard[1] + 1):
            self._journal(number, self.folder).remove()
        (self.folder / _CLAIMED).unlink()

    def _journal(self, number: int, folder: Path | None = None) -> Journal:
        return Journal((folder or self._partial) / f"journal-{number}-of-{self._shard[1]}.jsonl")

    def _is_whole(self, number: int) -> bool:
        num_lines = sum(1 for _ in self._journal(number).lines())
        return num_lines == len(shard_of(self._image_ids, (number, self._shard[1])))

    def _results(self, numbers: Iterable[int]) -> Iterator[ImageResult]:
        # Items are processed in order, so each journal is sorted, even after an interruption.
        journals = (map(ImageResult.from_json, self._journal(number).lines()) for number in numbers)
        return heapq.merge(*journals, key=lambda result: result.row.image_id)

    def _summary_of_existing(self) -> FolderSummary:
        manifest = read_manifest(self.folder / "manifest.csv")
        rows = manifest.rows
        annotated, marks = [row for row in rows if row.annotation], self.folder / "marks.csv"
        return FolderSummary(
            self.folder,
            num_images=len(annotated),
            num_marks=sum(len(of_image) for _, of_image in read_marks(marks)) if marks.is_file() else 0,
            num_labelled=sum(row.num_labelled for row in annotated),
            classes_reached=sum(_num_reached(manifest, row) for row in annotated),
            num_void_images=sum(not row.num_labelled for row in annotated),
            num_off_class=sum(map(off_class_of, annotated)),
            num_evaluation_images=len(rows) - len(annotated),
            already_there=True,
        )


def _num_reached(manifest: Manifest, row: ManifestRow) -> int:
    """Number of classes with a label on a pixel of their own; files are read where labels may be wrong."""
    if not any(manifest.info.settings.get(name) for name in ("jitter", "wrong", "sloppiness")):
        return len(row.classes_labelled)
    return num_reached(read_row_annotation(manifest, row), read_row_full_mask(manifest, row), manifest.label_space)


def _differing_settings(there: ManifestInfo, here: ManifestInfo) -> str:
    """Describe the settings in which two annotations differ; empty if only their classes differ."""
    one, other = (
        {"version": info.tool_version, "layout": info.layout, "dataset": info.dataset, **info.settings}
        for info in (there, here)
    )
    one, other = json.loads(json.dumps(one)), json.loads(json.dumps(other))
    keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    return "; ".join(f"{key} {one.get(key, 'not given')} there, {other.get(key, 'not given')} here" for key in keys)


def _is_there(folder: Path) -> bool:
    """Whether something of this name exists. An empty folder does not count, because object stores have none.

    Nor does a folder without any finished file: another shard may be writing its first one at this moment.
    """
    if not folder.is_dir():
        return folder.exists()
    return any(path.suffix != ".partial" for path in folder.iterdir())


def _add(summary: FolderSummary, result: ImageResult, settings: Mapping[str, Any]) -> FolderSummary:
    if not result.row.annotation:
        return replace(summary, num_evaluation_images=summary.num_evaluation_images + 1)
    return replace(
        summary,
        num_images=summary.num_images + 1,
        num_marks=summary.num_marks + len(result.marks),
        num_labelled=summary.num_labelled + result.row.num_labelled,
        classes_present=summary.classes_present + result.classes_present,
        classes_reached=summary.classes_reached + result.classes_reached,
        num_void_images=summary.num_void_images + (result.annotated_pixels == 0),
        num_off_class=summary.num_off_class + off_class_of(result.row),
        num_short_images=summary.num_short_images + (result.annotated_pixels > 0 and _is_short(result, settings)),
    )


def off_class_of(row: ManifestRow) -> int:
    """Labelled pixels of an image on another class or void, where they were counted."""
    return int(dict(row.extra).get(OFF_CLASS, 0))


def _is_short(result: ImageResult, settings: Mapping[str, Any]) -> bool:
    """Whether an image has fewer clicks than were requested."""
    wanted: int = settings.get("clicks_per_image", 0) or settings.get("clicks_per_class", 0) * result.classes_present
    return len(result.marks) < wanted
