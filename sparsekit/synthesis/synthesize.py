"""Annotate a dataset: images with full masks in, sparse label maps and manifests out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from data_manifests import Dataset, DatasetItem, LabelSpace, Manifest, ManifestInfo, ManifestRow, Mark, __version__
from data_manifests.encodings import Encoding
from data_manifests.files.masks import pixel_sha256, read_instances
from data_manifests.files.paths import absolute, as_path, name_from, name_in_full, reaching
from data_manifests.layouts.base import read_full_mask
from data_manifests.parallel import map_in_order
from sparsekit.arguments import as_whole_number
from sparsekit.errors import AnnotationError
from sparsekit.geometry.rasterize import rasterize
from sparsekit.randomness import ImageStream
from sparsekit.synthesis.adding import added_info, dataset_of, earlier_marks, require_marks
from sparsekit.synthesis.annotation_files import num_reached, write_annotation
from sparsekit.synthesis.annotators import Annotator, Subject, is_sloppy
from sparsekit.synthesis.output_folder import OFF_CLASS, FolderSummary, ImageResult, OutputFolder, partial_dir, shard_of

#: Just below 32 MB, the largest size that glibc takes into account.
_LARGEST_BLOCK = (32 << 20) - (1 << 16)


@dataclass(frozen=True)
class _Task:
    """Everything a worker process needs for one image."""

    item: DatasetItem
    annotated: bool
    folders: tuple[Path | None, ...]  # one per variant; None if its result already exists
    annotator: Annotator
    label_space: LabelSpace
    encoding: Encoding
    seed: int
    absolute_paths: bool
    earlier: Earlier | None = None


@dataclass(frozen=True)
class Earlier:
    """An image of an annotation to which marks are added.

    Args:
        marks: Its marks.
        full_mask_sha256: Of the full mask that they were drawn on.
        extra: Cells of columns that this version does not know.
    """

    marks: tuple[Mark, ...]
    full_mask_sha256: str
    extra: tuple[tuple[str, str], ...] = ()


def synthesize(
    source: Dataset | Manifest,
    annotator: Annotator,
    out_dir: str | Path,
    *,
    name: str | None = None,
    seed: int = 0,
    splits: Sequence[str] = (),
    limit: int | None = None,
    workers: int | None = 1,
    dask: str | None = None,
    shard: tuple[int, int] = (1, 1),
    overwrite: bool = False,
    absolute_paths: bool = False,
    on_start: Callable[[int, int], None] = lambda done, total: None,
    on_image: Callable[[], None] = lambda: None,
) -> list[FolderSummary]:
    """Annotate a dataset: write a folder with manifest, marks and sparse label maps for each variant.

    Args:
        source: Images with full masks; or a manifest, to whose marks the new ones are added. Its own marks come first
            and stay as they are, and its labelled pixels are not clicked again. A mark of another kind may cover
            them, but the label that is there stays.
        annotator: Draws the marks.
        out_dir: Parent of the folders ``<dataset>-<variant>``, or ``<folder of the manifest>+<variant>``.
        name: Name of the folder instead, if there is a single variant.
        seed: Equal seeds give equal annotations, for any number of workers.
        splits: Splits to annotate; by default ``train`` if it exists, or else all; of a manifest those that are
            annotated. Others are listed for evaluation.
        limit: At most this many images of each split.
        workers: Number of processes, None for as many as save time.
        dask: Address of a dask scheduler to use instead of processes; its workers must see the same files.
        shard: Process only part i of n, given as (i, n) with i from 1. Parts may run simultaneously on machines that
            share ``out_dir``; the last one to finish completes the folder.
        overwrite: Replace a folder that holds another result.
        absolute_paths: Store absolute paths of images and masks instead of paths relative to the manifest.
        on_start: Called once with the number of images finished earlier and the total.
        on_image: Called after each image.

    Returns:
        A summary for each variant.

    Raises:
        AnnotationError: If a folder is in the way.
        DataError: If another process is using a folder, an image or mask cannot be used, or the two differ in size.
            Finished images are kept, and the same call resumes.
        ValueError: If ``source`` is neither a ``Dataset`` nor a ``Manifest``, does not have a split, or ``shard``,
            ``seed`` or ``limit`` is out of range, or ``name`` would name several folders.
    """
    if not isinstance(source, Dataset | Manifest):
        raise ValueError(f"dataset must be the result of open_dataset, or a manifest, got {source!r}.")
    seed = as_whole_number("seed", seed, least=0)
    limit = None if limit is None else as_whole_number("limit", limit, least=1)
    if not 1 <= shard[0] <= shard[1]:
        raise ValueError(f"Shard must be i/n with i between 1 and n, got {shard[0]}/{shard[1]}.")
    dataset, annotated_splits, items = what_to_annotate(source, splits, limit)
    if name is not None and len(annotator.variants()) > 1:
        raise ValueError(f"A folder can have the name '{name}' only if there is one variant.")
    plans = _plans(source, annotator, as_path(out_dir), seed, annotated_splits, items, absolute_paths, shard, name)
    with ExitStack() as held:
        for plan in plans:
            held.callback(plan.release)
            held.callback(plan.close)
            with reaching(plan.folder):
                plan.prepare(overwrite)
        mine = shard_of(items, shard)
        pending = [item for item in mine if any(plan.lacks(item.image_id) for plan in plans)]
        earlier = _earlier(source, pending) if isinstance(source, Manifest) else repeat(None)
        on_start(len(mine) - len(pending), len(mine))
        tasks = (
            _Task(
                item, item.split in annotated_splits, tuple(None if p.complete else p.folder for p in plans), annotator,
                dataset.label_space, dataset.encoding, seed, absolute_paths, before,
            )
            for item, before in zip(pending, earlier, strict=False)
        )  # fmt: skip
        for results in map_in_order(_annotate_image, tasks, workers, dask, total=len(pending)):
            for plan, result in zip(plans, results, strict=True):
                if result:
                    plan.record(result)
            on_image()
        for plan in plans:
            plan.close()
        return [plan.finish() for plan in plans]


def finished_folders(
    source: Dataset | Manifest,
    annotator: Annotator,
    out_dir: str | Path,
    *,
    seed: int = 0,
    splits: Sequence[str] = (),
    limit: int | None = None,
    absolute_paths: bool = False,
) -> dict[Path, bool]:
    """For each folder that ``synthesize`` would make, whether it already exists; writes nothing.

    The arguments are those of ``synthesize``.

    Raises:
        AnnotationError: If a folder is in the way.
    """
    _, chosen, items = what_to_annotate(source, splits, limit)
    plans = _plans(source, annotator, as_path(out_dir), seed, chosen, items, absolute_paths)
    return {plan.folder: plan.is_finished() for plan in plans}


def what_to_annotate(
    source: Dataset | Manifest, splits: Sequence[str], limit: int | None
) -> tuple[Dataset, tuple[str, ...], list[DatasetItem]]:
    """The images as a dataset, the splits to annotate, and the images of all splits."""
    if isinstance(source, Manifest):
        require_marks(source)
        dataset = dataset_of(source)
        annotated = sorted({row.split for row in source.rows if row.annotation})
        splits = choose_splits(dataset, splits or annotated)
        if left_out := [split for split in annotated if split not in splits]:
            raise ValueError(f"{source.path}: split '{left_out[0]}' is annotated too; name it as well.")
    else:
        dataset = source
    return dataset, choose_splits(dataset, splits), _limited(dataset.items, limit)


def _plans(
    source: Dataset | Manifest,
    annotator: Annotator,
    out_dir: Path,
    seed: int,
    splits: tuple[str, ...],
    items: Sequence[DatasetItem],
    absolute_paths: bool,
    shard: tuple[int, int] = (1, 1),
    name: str | None = None,
) -> list[OutputFolder]:
    root = source.path if isinstance(source, Manifest) else source.root
    how = {"dataset": str(absolute(root)), "absolute_paths": absolute_paths}
    inputs = annotator.inputs(item.image_id for item in items if item.split in splits)
    plans = []
    for folder, settings in output_folders(source, annotator, out_dir):
        settings = {"seed": seed, "splits": list(splits), **settings, **inputs}
        folder = out_dir / name if name else folder
        info = _info(source, folder, annotator.command, settings)
        plans.append(OutputFolder(folder, info, [item.image_id for item in items], how, shard))
    return plans


def output_folders(
    source: Dataset | Manifest, annotator: Annotator, out_dir: Path
) -> list[tuple[Path, dict[str, Any]]]:
    """Return the folder and the settings of each variant."""
    # absolute: also for "." or "x/.."
    start = f"{source.name}+" if isinstance(source, Manifest) else f"{absolute(source.root).name}-"
    return [(out_dir / f"{start}{suffix}", settings) for suffix, settings in annotator.variants()]


def choose_splits(dataset: Dataset, splits: Sequence[str]) -> tuple[str, ...]:
    """Choose the splits to annotate.

    Args:
        dataset: The dataset.
        splits: Requested splits, or a single one as text. If empty, ``train`` if it exists, or else all.

    Raises:
        ValueError: If the dataset does not have a split.
    """
    splits = (splits,) if isinstance(splits, str) else splits
    if unknown := sorted(set(splits) - set(dataset.splits)):
        raise ValueError(f"Unknown split '{unknown[0]}'. Splits of {dataset.root}: {', '.join(dataset.splits)}.")
    if splits:
        return tuple(sorted(set(splits)))
    return ("train",) if "train" in dataset.splits else dataset.splits


def _limited(items: Iterable[DatasetItem], limit: int | None) -> list[DatasetItem]:
    seen: dict[str, int] = {}
    kept = []
    for item in items:
        seen[item.split] = seen.get(item.split, 0) + 1
        if limit is None or seen[item.split] <= limit:
            kept.append(item)
    return kept


def _info(source: Dataset | Manifest, folder: Path, command: str, settings: dict[str, Any]) -> ManifestInfo:
    named = {key: name_from(folder, value) if isinstance(value, Path) else value for key, value in settings.items()}
    if isinstance(source, Manifest):
        return added_info(source, folder, command, named)
    return ManifestInfo(
        label_space=source.label_space,
        mask_encoding=source.encoding,
        dataset=absolute(source.root).name,
        layout=source.layout,
        command=command,
        settings=named,
        tool_version=__version__,
        images=source.images,
    )


def _earlier(manifest: Manifest, items: Sequence[DatasetItem]) -> Iterator[Earlier]:
    """Yield the part of a manifest that each of these images has, which are sorted by id."""
    rows = {row.image_id: row for row in manifest.rows}
    for item, marks in zip(items, earlier_marks(manifest, [item.image_id for item in items]), strict=True):
        row = rows[item.image_id]
        yield Earlier(marks, row.full_mask_sha256, row.extra)


def _annotate_image(task: _Task) -> list[ImageResult | None]:
    """Decode one mask and write its annotation for every variant; runs in a worker process."""
    _keep_freed_memory()
    item, space = task.item, task.label_space
    mask = read_full_mask(item, task.encoding)
    height, width = mask.shape
    earlier = task.earlier or Earlier((), "")
    row = ManifestRow(
        item.image_id, item.split, "", "", "", height, width, full_mask_sha256=pixel_sha256(mask), extra=earlier.extra
    )  # fmt: skip
    if earlier.full_mask_sha256 not in ("", row.full_mask_sha256):
        raise AnnotationError(f"{item.mask}: is not the full mask that the marks of the manifest were drawn on.")
    label_map, counts = space.to_train_ids_and_counts(mask, task.encoding, item.mask)
    present, annotated_pixels = int(np.count_nonzero(counts)), int(counts.sum())
    variants: list[list[Mark]] = [[] for _ in task.folders]
    if task.annotated:
        instances = read_instances(item.instance_path) if item.instance_path and task.annotator.uses_instances else None
        rng = ImageStream(task.seed, item.image_id, task.annotator.command)
        subject = subject_with(earlier.marks, Subject(item.image_id, label_map, rng, space, instances))
        variants = [[*earlier.marks, *marks] for marks in task.annotator.annotate(subject)]
    results: list[ImageResult | None] = []
    for folder, marks in zip(task.folders, variants, strict=True):
        if folder is None:
            results.append(None)
            continue
        named = replace(
            row,
            image=_path_for_manifest(item.image_path, folder, task.absolute_paths) if item.image_path else "",
            full_mask=_path_for_manifest(item.mask, folder, task.absolute_paths),
        )
        reached = 0
        if task.annotated:
            sparse = rasterize(marks, (height, width), space)
            named = write_annotation(named, sparse, partial_dir(folder), space)
            reached = num_reached(sparse, label_map, space)
            if is_sloppy(task.annotator):
                off_class = int(np.count_nonzero((sparse != space.unlabelled_value) & (sparse != label_map)))
                named = replace(named, extra=(*named.extra, (OFF_CLASS, str(off_class))))
        results.append(ImageResult(named, tuple(marks), present, reached, annotated_pixels))
    return results


def subject_with(marks: tuple[Mark, ...], subject: Subject) -> Subject:
    """The subject of annotators that add to earlier marks: without these labelled pixels, and with its own stream."""
    if not marks:
        return subject
    shape = subject.label_map.shape[0], subject.label_map.shape[1]
    labelled = rasterize(marks, shape, subject.space) != subject.space.unlabelled_value
    return replace(subject, labelled=labelled, rng=subject.rng.branch(f"after {len(marks)} marks"))


@cache
def _keep_freed_memory() -> None:
    """Make the C library reuse the memory of one image for the next; new pages took a sixth of some annotations' time.

    glibc returns freed memory to the system above a threshold: twice the largest block freed so far, counting blocks up
    to 32 MB. The block here is never written to, so it occupies no memory. Other C libraries ignore it.
    """
    np.empty(_LARGEST_BLOCK, np.uint8)


def _path_for_manifest(path: Path, folder: Path, in_full: bool) -> str:
    return name_in_full(path) if in_full else name_from(folder, path)
