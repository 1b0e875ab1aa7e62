"""Grow labels again and compare them with a manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from data_manifests import Manifest, ManifestRow
from data_manifests.errors import DataError
from data_manifests.files.masks import pixel_sha256, read_mask
from data_manifests.manifest.derive import read_source
from data_manifests.manifest.validate import Problem
from data_manifests.parallel import map_in_order
from sparsekit.annotated_images import AnnotatedImage
from sparsekit.errors import AnnotationError
from sparsekit.grow.methods import grow_labels
from sparsekit.grow.settings import METHODS, GrowSettings


@dataclass(frozen=True)
class _Task:
    """Everything a worker process needs for one image."""

    grown: AnnotatedImage
    source: AnnotatedImage
    settings: GrowSettings


def verify_grown(
    manifest: Manifest, *, workers: int | None = 1, on_image: Callable[[], None] = lambda: None
) -> list[Problem]:
    """Grow the labels of a manifest that ``grow_manifest`` made again; see ``verify_manifest``.

    Raises:
        AnnotationError: If this version has no such method, or the settings cannot be understood.
        ManifestError: If the source is missing or has changed.
    """
    settings = _recorded_settings(manifest)
    source, problems = read_source(manifest), list[Problem]()
    for found in map_in_order(
        _verify_image, _tasks(manifest, source, settings, problems), workers, total=len(manifest)
    ):
        problems += found
        on_image()
    return sorted(problems, key=lambda problem: problem.image_id)


def _recorded_settings(manifest: Manifest) -> GrowSettings:
    recorded = manifest.info.settings
    if (method := recorded.get("method")) not in METHODS:
        raise AnnotationError(f"{manifest.path}: was grown by method '{method}', which this version does not have.")
    try:
        names = ("method", "max_distance", "confidence", "max_size")
        return GrowSettings(**{name: recorded[name] for name in names if name in recorded})
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"{manifest.path}: its settings cannot be understood ({error}).") from error


def _tasks(manifest: Manifest, source: Manifest, settings: GrowSettings, problems: list[Problem]) -> Iterator[_Task]:
    without_rows = [Manifest(one.path, (), one.info) for one in (manifest, source)]
    before: dict[str, ManifestRow] = {row.image_id: row for row in source.rows}
    for row in manifest.rows:
        if not row.annotation:
            continue
        if row.image_id not in before:
            problems.append(Problem("missing", row.image_id, f"no such image in {source.path}"))
            continue
        yield _Task(
            AnnotatedImage(row, without_rows[0]), AnnotatedImage(before[row.image_id], without_rows[1]), settings
        )


def _verify_image(task: _Task) -> list[Problem]:
    row, problems = task.grown.row, []
    try:
        unlabelled = task.source.label_space.unlabelled_value
        # The image of the grown manifest, which --data-root finds.
        made = grow_labels(task.source.read_annotation(), task.grown.read_image(), unlabelled, task.settings)
        if pixel_sha256(made) != row.annotation_sha256:
            problems.append(Problem("annotation", row.image_id, "the reproduced annotation differs"))
        path = task.grown.manifest.resolve(row.annotation)
        if pixel_sha256(read_mask(path)) != row.annotation_sha256:
            problems.append(Problem("file", row.image_id, f"{path} has changed since it was made"))
    except (DataError, OSError) as error:
        problems.append(Problem("missing", row.image_id, str(error)))
    return problems
