"""Add marks to an existing annotation, whose marks stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_manifests import Dataset, DatasetItem, Manifest, ManifestInfo, Mark, __version__
from data_manifests.files.paths import name_from
from sparsekit.annotated_images import annotated_images
from sparsekit.clicks.settings import STRATEGIES, ClickSettings
from sparsekit.errors import AnnotationError

#: The setting that records how many clicks were added, in the unit of the strategy.
ADDED = "clicks_added"

#: Settings that record the annotation that marks were added to.
SOURCE = ("source", "source_sha256", "source_command", "source_settings")

_BUDGETS = tuple(dict.fromkeys(f"clicks_per_{unit}" for _, unit in STRATEGIES.values()))


def dataset_of(manifest: Manifest) -> Dataset:
    """The images and full masks that a manifest names, as a dataset; without true instances, which it does not name.

    Raises:
        AnnotationError: If a row has no full mask.
    """
    items = []
    for row in manifest.rows:
        if not row.full_mask:
            raise AnnotationError(
                f"{manifest.path}: image '{row.image_id}' has no full mask, from which clicks get their classes."
            )
        image = manifest.resolve(row.image) if row.image else None
        items.append(DatasetItem(row.image_id, row.split, image, manifest.resolve(row.full_mask)))
    info = manifest.info
    return Dataset(
        manifest.path.parent, info.layout, info.label_space, info.mask_encoding, tuple(items), images=info.images
    )


def require_marks(manifest: Manifest) -> None:
    """Check that a manifest has marks to add to.

    Raises:
        AnnotationError: If it has none.
    """
    if not manifest.marks_path.is_file():
        raise AnnotationError(
            f"{manifest.path}: has no marks beside it, as with grown labels and those of a network. Add clicks to the "
            "annotation that it was made from."
        )


def earlier_marks(manifest: Manifest, image_ids: Iterable[str]) -> Iterator[tuple[Mark, ...]]:
    """Marks of some images of a manifest, in ascending order of their ids; only one image's marks are in memory."""
    found = annotated_images(manifest)
    image = next(found, None)
    for image_id in image_ids:
        while image and image.row.image_id < image_id:
            image = next(found, None)
        yield image.marks if image and image.row.image_id == image_id else ()


def added_info(manifest: Manifest, folder: Path, command: str, settings: Mapping[str, Any]) -> ManifestInfo:
    """Contents of ``manifest.json`` of an annotation in ``folder`` that adds marks to a manifest.

    The number of clicks includes those of the manifest, if these are in the same unit. If not, only the number of added
    clicks is recorded.
    """
    before, recorded = manifest.info.settings, dict(settings)
    for name in recorded.keys() & set(_BUDGETS):
        recorded[ADDED] = recorded.pop(name)
        if isinstance(known := before.get(name), int):
            recorded[name] = known + recorded[ADDED]
    source = {
        "source": name_from(folder, manifest.path),
        "source_sha256": manifest.sha256(),
        "source_command": manifest.info.command,
        "source_settings": dict(before),
    }
    return replace(manifest.info, command=command, settings={**recorded, **source}, tool_version=__version__)


def own_settings(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the added clicks alone, as recorded of clicks that were added to nothing.

    Raises:
        ValueError: If the strategy is unknown.
    """
    if ADDED not in recorded:
        return dict(recorded)
    kept = {name: value for name, value in recorded.items() if name not in (ADDED, *_BUDGETS)}
    return {ClickSettings(str(recorded.get("strategy", "uniform"))).budget_name: recorded[ADDED], **kept}
