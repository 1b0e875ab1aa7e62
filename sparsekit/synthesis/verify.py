"""Regenerate the annotations of a manifest from its settings and your copy of the data, and compare."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from itertools import repeat
from pathlib import Path
from typing import Any, TypeVar

from data_manifests import LAYOUTS, Dataset, Encoding, LabelSpace, Manifest, ManifestRow, Mark, open_dataset
from data_manifests.errors import DataError
from data_manifests.files.masks import pixel_sha256, read_instances, read_mask
from data_manifests.manifest.derive import HISTORY, read_source
from data_manifests.manifest.schema import GROWN
from data_manifests.manifest.validate import Problem
from data_manifests.parallel import map_in_order
from sparsekit.areas.settings import RegionMarkSettings
from sparsekit.audit.cost_model import CostModel
from sparsekit.clicks.guides import Guide
from sparsekit.clicks.settings import GUIDED, ClickSettings
from sparsekit.errors import AnnotationError
from sparsekit.geometry.rasterize import rasterize
from sparsekit.grow.verify import verify_grown
from sparsekit.randomness import ImageStream
from sparsekit.scribbles.settings import ScribbleSettings
from sparsekit.synthesis.adding import SOURCE, earlier_marks, own_settings
from sparsekit.synthesis.annotators import Annotator, ClickAnnotator, RegionMarkAnnotator, ScribbleAnnotator, Subject
from sparsekit.synthesis.synthesize import subject_with
from sparsekit.synthesis.timed import TimedAnnotator

S = TypeVar("S")

_IN_WORDS = {int: "a whole number", float: "a number", str: "a word"}

#: Settings that select the images and name files, as opposed to how images are annotated.
_NOT_THE_ANNOTATORS = (
    "seed", "splits", HISTORY, *SOURCE, *GUIDED.values(), *(f"{kind}_sha256" for kind in GUIDED.values())
)  # fmt: skip


@dataclass(frozen=True)
class _Task:
    """Everything a worker process needs for one image."""

    row: ManifestRow
    annotation: Path
    mask: Path
    instances: Path | None
    annotator: Annotator
    label_space: LabelSpace
    encoding: Encoding  # of the masks when the manifest was made
    encoding_here: Encoding
    seed: int
    earlier: tuple[Mark, ...]


def verify_manifest(
    manifest: Manifest,
    dataset_dir: str | Path | None = None,
    *,
    workers: int | None = 1,
    on_image: Callable[[], None] = lambda: None,
) -> list[Problem]:
    """Annotate the images of a manifest again and compare the results with it; writes nothing.

    Grown labels are grown again from the manifest that they were made from.

    Args:
        manifest: Made by a command of sparsekit, perhaps on another machine.
        dataset_dir: Your copy of the dataset; by default the files that the manifest lists.
        workers: Number of processes, None for as many as save time; it does not change the result.
        on_image: Called after each image.

    Returns:
        A problem for each difference, of kind ``mask`` (the full mask differs from the original), ``file`` (the
        annotation on disk differs from the manifest), ``annotation`` (the regenerated annotation differs from the
        manifest) or ``missing``.

    Raises:
        AnnotationError: If the manifest does not record how its annotations were made, has no annotations, or adds
            clicks to an annotation that is missing or has changed.
        DataError: If the dataset cannot be opened.
    """
    if manifest.info.command == GROWN:
        return verify_grown(manifest, workers=workers, on_image=on_image)
    annotator = annotator_from_settings(manifest.info.command, manifest.info.settings, manifest.resolve)
    layout = manifest.info.layout
    if dataset_dir and layout not in LAYOUTS:
        raise AnnotationError(
            f"{manifest.path}: its layout '{layout}' does not exist in this version of sparsekit. Use the version that "
            "the manifest names, or omit --dataset to use the full masks that it names."
        )
    dataset = _open_copy(dataset_dir, layout) if dataset_dir else None
    if annotator.uses_instances and dataset is None:
        raise AnnotationError(f"{manifest.path}: was made with true instances. Give the dataset with --dataset.")
    if not any(row.annotation for row in manifest.rows):
        raise AnnotationError(f"{manifest.path}: no row has an annotation to verify.")
    problems: list[Problem] = []
    for found in map_in_order(
        _verify_image, _tasks(manifest, annotator, dataset, problems), workers, total=len(manifest)
    ):
        problems += found
        on_image()
    return sorted(problems, key=lambda problem: problem.image_id)


def _open_copy(dataset_dir: str | Path, layout: str) -> Dataset:
    try:
        return open_dataset(dataset_dir, layout)
    except DataError as error:
        raise AnnotationError(
            f"{error}\nIf the files in {dataset_dir} have the names that the manifest gives, use --data-root instead."
        ) from error


def annotator_from_settings(command: str, settings: Any, resolve: Callable[[str], Path] = Path) -> Annotator:
    """Build the annotator from its recorded command and settings.

    Args:
        command: As in ``manifest.json``.
        settings: As in ``manifest.json``.
        resolve: Finds a folder that the settings name.

    Raises:
        AnnotationError: If this version has no such annotator.
    """
    if command not in _ANNOTATORS:
        raise AnnotationError(
            f"Annotations of command '{command or 'unknown'}' cannot be reproduced; only those of "
            f"{', '.join(_ANNOTATORS)} can. For a merged manifest, verify the sources."
        )
    recorded = {name: value for name, value in settings.items() if name not in _NOT_THE_ANNOTATORS}
    try:
        recorded = own_settings(recorded)
        annotator = _ANNOTATORS[command](recorded, lambda kind: resolve(_recorded(settings, kind, "")))
        ((_, again),) = annotator.variants()
        if "seed" in settings:
            _recorded(settings, "seed", 0)
    except ValueError as error:
        raise AnnotationError(f"The settings {recorded} of '{command}' cannot be understood ({error}).") from error
    # Settings that are newer than the manifest have defaults that preserve the old behaviour.
    if not recorded.items() <= (again := json.loads(json.dumps(again))).items():
        raise AnnotationError(
            f"The manifest has the settings {recorded}, but this version of sparsekit only understands {again}; use "
            "the version that the manifest names."
        )
    return annotator


def _clicks(recorded: dict[str, Any], folder_of: Callable[[str], Path]) -> Annotator:
    settings, guide = _recorded_fields(ClickSettings, recorded), None
    if settings.strategy in GUIDED:
        guide = Guide(settings.strategy, folder_of(GUIDED[settings.strategy]), **_recorded_of(Guide, recorded))
    if "minutes" in recorded:
        return _timed(ClickAnnotator((1,), settings, guide), recorded)
    return ClickAnnotator((_recorded(recorded, settings.budget_name, 1),), settings, guide)


def _scribbles(recorded: dict[str, Any], folder_of: Callable[[str], Path]) -> Annotator:
    annotator = ScribbleAnnotator((_recorded(recorded, "length", 1.0),), _recorded_fields(ScribbleSettings, recorded))
    return _timed(annotator, recorded) if "minutes" in recorded else annotator


def _timed(annotator: ClickAnnotator | ScribbleAnnotator, recorded: dict[str, Any]) -> Annotator:
    return TimedAnnotator(annotator, (_recorded(recorded, "minutes", 1.0),), _recorded_fields(CostModel, recorded))


def _region_marks(recorded: dict[str, Any], folder_of: Callable[[str], Path]) -> Annotator:
    settings = _recorded_fields(RegionMarkSettings, recorded)
    return RegionMarkAnnotator(settings, (_recorded(recorded, "share", 1.0),) if settings.kind == "block" else ())


#: Command -> builder of its annotator from recorded settings, and from where they say that a network's output lies.
_ANNOTATORS: dict[str, Callable[[dict[str, Any], Callable[[str], Path]], Annotator]] = {
    ClickAnnotator.command: _clicks,
    ScribbleAnnotator.command: _scribbles,
    RegionMarkAnnotator.command: _region_marks,
}


def _recorded_fields(kind: type[S], recorded: dict[str, Any]) -> S:
    """Read recorded settings of this kind; others keep their defaults."""
    return kind(**_recorded_of(kind, recorded))


def _recorded_of(kind: type[Any], recorded: dict[str, Any]) -> dict[str, Any]:
    """The recorded settings that are fields with defaults of this kind."""
    named = [f for f in fields(kind) if f.default is not MISSING and f.name in recorded]
    return {f.name: _recorded(recorded, f.name, f.default) for f in named}


def _recorded(recorded: dict[str, Any], name: str, example: object) -> Any:
    """Read a recorded setting and check that it has the type of the example, since the file may have been edited."""
    value = recorded.get(name)
    if type(value) is not type(example) and not (type(example) is float and type(value) is int):
        raise ValueError(f"{name} must be {_IN_WORDS[type(example)]}, got {value!r}")
    return value


def _tasks(
    manifest: Manifest, annotator: Annotator, dataset: Dataset | None, problems: list[Problem]
) -> Iterator[_Task]:
    items = {item.image_id: item for item in dataset.items} if dataset else {}
    rows = [row for row in manifest.rows if row.annotation]
    source = read_source(manifest) if "source" in manifest.info.settings else None
    earlier = earlier_marks(source, (row.image_id for row in rows)) if source else repeat(())
    for row, before in zip(rows, earlier, strict=False):
        item = items.get(row.image_id)
        if dataset and not item:
            problems.append(Problem("missing", row.image_id, f"no such image in {dataset.root}"))
            continue
        if not item and not row.full_mask:
            problems.append(Problem("missing", row.image_id, "the manifest names no full mask"))
            continue
        yield _Task(
            row,
            manifest.resolve(row.annotation),
            item.mask if item else manifest.resolve(row.full_mask),
            item.instance_path if item else None,
            annotator,
            manifest.label_space,
            manifest.info.mask_encoding,
            dataset.encoding if dataset else manifest.info.mask_encoding,
            manifest.info.settings.get("seed", 0),
            before,
        )


def _verify_image(task: _Task) -> list[Problem]:
    row, problems = task.row, []
    try:
        mask = read_mask(task.mask, task.encoding)
        same_mask = pixel_sha256(mask) == row.full_mask_sha256
        if not same_mask and task.encoding_here == task.encoding:
            return [Problem("mask", row.image_id, f"{task.mask} is not the original full mask")]
        encoding = task.encoding if same_mask else task.encoding_here
        mask = mask if same_mask else read_mask(task.mask, encoding)
        label_map = task.label_space.to_train_ids(mask, encoding, task.mask)
        instances = read_instances(task.instances) if task.instances and task.annotator.uses_instances else None
        rng = ImageStream(task.seed, row.image_id, task.annotator.command)
        subject = Subject(row.image_id, label_map, rng, task.label_space, instances)
        (marks,) = task.annotator.annotate(subject_with(task.earlier, subject))
        made = rasterize([*task.earlier, *marks], (label_map.shape[0], label_map.shape[1]), task.label_space)
        if pixel_sha256(made) != row.annotation_sha256:
            problems.append(Problem("annotation", row.image_id, "the reproduced annotation differs"))
        if pixel_sha256(read_mask(task.annotation)) != row.annotation_sha256:
            problems.append(Problem("file", row.image_id, f"{task.annotation} has changed since it was made"))
    except (DataError, OSError) as error:
        problems.append(Problem("missing", row.image_id, str(error)))
    return problems
