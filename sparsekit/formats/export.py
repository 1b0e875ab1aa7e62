"""Write annotations in the format of another tool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from data_manifests import Manifest
from data_manifests.files.paths import as_path
from sparsekit.errors import AnnotationError
from sparsekit.formats import load_format
from sparsekit.formats.shared.job import ExportJob, take_census
from sparsekit.formats.shared.whole_folder import begins_with, whole_folder

__all__ = ["ExportSummary", "export_manifest"]

_NOTE = "README.txt"
_FIRST_LINE = "sparsekit export: "


@dataclass(frozen=True)
class ExportSummary:
    """Result of an export.

    Args:
        folder: Its folder.
        num_annotated: Images with an annotation.
        num_evaluated: Images with their full masks.
        losses: What the format could not store.
    """

    folder: Path
    num_annotated: int
    num_evaluated: int
    losses: tuple[str, ...]


def export_manifest(
    manifest: Manifest,
    target: str,
    out: str | Path,
    *,
    split: str | None = None,
    lossy: bool = False,
    link: bool = False,
    overwrite: bool = False,
    on_image: Callable[[], None] = lambda: None,
) -> ExportSummary:
    """Write annotations in the format of another tool; the folder appears complete or not at all.

    Args:
        manifest: The annotations. Images of evaluation splits are exported with their full masks if the format has a
            place for them, also where they are annotated, unless ``split`` names theirs.
        target: A name of ``sparsekit.formats.EXPORTED``.
        out: The folder to create.
        split: Only this split.
        lossy: Export even if the format cannot store everything.
        link: Link images instead of copying them.
        overwrite: Replace an existing export.
        on_image: Called after each image.

    Raises:
        AnnotationError: If something would be lost and ``lossy`` is not given, the format needs marks and there are
            none, it has too few values for the classes, or another folder is in the way.
        DataError: If a file of the manifest cannot be used.
        ValueError: If the format is unknown.
    """
    out = as_path(out)
    format_ = load_format(target, "export")
    if split is not None:
        manifest.rows_of(split)
    elif format_.values is not None and not format_.needs_marks:
        manifest = _with_full_masks(manifest)
    census = take_census(manifest, split)
    if format_.needs_marks and census is None:
        raise AnnotationError(
            f"{manifest.path}: has no marks.csv, but the format {target} consists of marks. Choose a format of label "
            "maps, such as mmseg."
        )
    with whole_folder(out, _is_export, overwrite=overwrite) as folder:
        job = ExportJob(manifest, format_, folder, split=split, link=link, census=census, on_image=on_image)
        losses = format_.losses(job)
        if losses and not lossy:
            raise AnnotationError(
                f"{manifest.path}: the format {target} cannot store everything: {'; '.join(losses)}. Give --lossy to "
                "export the rest, or choose another format."
            )
        format_.write(job)
        job.write(_NOTE, _note(job, target, losses))
    return ExportSummary(out, job.num_annotated, job.num_evaluated, tuple(losses))


def _with_full_masks(manifest: Manifest) -> Manifest:
    """The manifest without the annotations of images that serve evaluation, as a split of annotated images has them.

    Scores on sparse labels would count these alone.
    """
    if not any(row.annotation and row.split == "train" for row in manifest.rows):
        return manifest
    rows = (replace(row, annotation="") if row.split != "train" and row.full_mask else row for row in manifest.rows)
    return replace(manifest, rows=tuple(rows))


def _is_export(folder: Path) -> bool:
    return begins_with(folder / _NOTE, _FIRST_LINE)


def _note(job: ExportJob, target: str, losses: list[str]) -> str:
    """Return the text of the folder's README, whose first line also marks the folder as replaceable."""
    info = job.manifest.info
    lines = [f"{_FIRST_LINE}{target}", f"dataset: {info.dataset}", f"annotation: {job.budget}"]
    lines += [f"lost: {loss}" for loss in losses]
    if job.format.values:
        values = job.values
        lines.append(f"value {values.unlabelled}: no label")
        if values.void is not None:
            lines.append(f"value {values.void}: void, in full masks")
        lines += [f"value {v}: {name}" for v, name in zip(values.of_class, job.space.class_names, strict=True)]
    return "\n".join(lines) + "\n"
