"""Grow the labels of a manifest into a new annotation folder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from data_manifests import Manifest, ManifestRow, __version__, read_manifest
from data_manifests.files.paths import absolute, as_path, name_from, reaching
from data_manifests.manifest.derive import count_unlabelled, grown_folder, rebase_row
from data_manifests.manifest.schema import GROWN
from data_manifests.parallel import map_in_order
from sparsekit.annotated_images import AnnotatedImage
from sparsekit.grow.methods import grow_labels
from sparsekit.grow.settings import GrowSettings
from sparsekit.synthesis.annotation_files import write_annotation
from sparsekit.synthesis.output_folder import ImageResult, OutputFolder, partial_dir, shard_of


@dataclass(frozen=True)
class GrowSummary:
    """Result of growing a manifest.

    Args:
        folder: The annotation folder.
        num_images: Number of annotated images.
        num_pixels: Number of their pixels.
        num_labelled_before: Labelled pixels in the source.
        num_labelled: Labelled pixels now.
        already_there: Whether the folder already held this result, so that nothing was done.
        missing_shards: Unfinished shards; until all are done, the numbers are those of the source.
    """

    folder: Path
    num_images: int
    num_pixels: int
    num_labelled_before: int
    num_labelled: int
    already_there: bool = False
    missing_shards: int = 0


@dataclass(frozen=True)
class _Task:
    """Everything a worker process needs for one image."""

    image: AnnotatedImage
    settings: GrowSettings
    folder: Path


def grow_manifest(
    manifest: Manifest,
    settings: GrowSettings | None = None,
    out: str | Path | None = None,
    *,
    workers: int | None = 1,
    shard: tuple[int, int] = (1, 1),
    overwrite: bool = False,
    on_start: Callable[[int, int], None] = lambda done, total: None,
    on_image: Callable[[], None] = lambda: None,
) -> GrowSummary:
    """Grow the labels of a manifest where that is reliable, into a new annotation folder.

    The folder is written atomically, has no marks, and is the same for any number of workers. Full masks are not
    used, so labels drawn by people can be grown too. Rows without annotation are copied unchanged.

    Args:
        manifest: The source, left unchanged. The new ``manifest.json`` records its path and the hash of its files.
        settings: Growing method and limits.
        out: Output folder; ``grown_folder`` if not given.
        workers: Number of processes, None for as many as save time.
        shard: See ``sparsekit.synthesis.synthesize.synthesize``.
        overwrite: Replace a folder that holds another result.
        on_start: Called once with the number of images already done and the total.
        on_image: Called after each image.

    Raises:
        AnnotationError: If a folder is in the way.
        DataError: If no annotation has a label, a file cannot be used, or another process is writing to the folder.
            Finished images are kept; the same call resumes.
        ValueError: If the shard is not between 1 and the number of shards, or ``out`` is the folder of the source.
    """
    settings = settings or GrowSettings()
    folder = grown_folder(manifest, settings.method) if out is None else as_path(out)
    if not 1 <= shard[0] <= shard[1]:
        raise ValueError(f"Shard must be i/n with i between 1 and n, got {shard[0]}/{shard[1]}.")
    if absolute(folder) == absolute(manifest.path).parent:
        raise ValueError(f"{folder}: is the folder of the source, which would be overwritten. Choose another --out.")
    count_unlabelled(manifest)
    made_from = {
        "source": name_from(folder, manifest.path),
        "source_sha256": manifest.sha256(),
        "source_command": manifest.info.command,
        "source_settings": dict(manifest.info.settings),
    }
    info = replace(
        manifest.info, command=GROWN, settings={**settings.to_dict(), **made_from}, tool_version=__version__
    )  # fmt: skip
    image_ids = [row.image_id for row in manifest.rows]
    how = {"manifest": str(absolute(manifest.path))}
    plan = OutputFolder(folder, info, image_ids, how, shard, has_marks=False)
    without_rows = replace(manifest, rows=())
    with ExitStack() as held:
        held.callback(plan.release)
        held.callback(plan.close)
        with reaching(folder):
            plan.prepare(overwrite)
        mine = shard_of(manifest.rows, shard)
        pending = [row for row in mine if plan.lacks(row.image_id)]
        on_start(len(mine) - len(pending), len(mine))
        tasks = (_Task(AnnotatedImage(row, without_rows), settings, folder) for row in pending)
        for result in map_in_order(_grow_image, tasks, workers, total=len(pending)):
            plan.record(result)
            on_image()
        plan.close()
        summary = plan.finish()
    before = [row for row in manifest.rows if row.annotation]
    after = before if summary.missing_shards else [row for row in read_manifest(folder).rows if row.annotation]
    return GrowSummary(
        folder,
        len(before),
        sum(row.height * row.width for row in before),
        sum(row.num_labelled for row in before),
        sum(row.num_labelled for row in after),
        summary.already_there,
        summary.missing_shards,
    )


def _grow_image(task: _Task) -> ImageResult:
    """Write the grown label map of one image; runs in a worker process."""
    image, manifest = task.image, task.image.manifest
    row: ManifestRow = rebase_row(manifest, image.row, task.folder)
    if row.annotation:
        sparse = image.read_annotation()
        grown = grow_labels(sparse, image.read_image(), manifest.label_space.unlabelled_value, task.settings)
        row = write_annotation(row, grown, partial_dir(task.folder), manifest.label_space)
    return ImageResult(row, (), len(row.classes_labelled), len(row.classes_labelled), row.height * row.width)
