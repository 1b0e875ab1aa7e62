"""A manifest as a ``DatasetDict`` of Hugging Face ``datasets``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from data_manifests.errors import ManifestError
from data_manifests.files.images import encode_image
from data_manifests.files.masks import encode_label_map
from data_manifests.files.paths import absolute, is_remote
from data_manifests.files.view import DEFAULT_VIEW
from data_manifests.manifest.rows import read_row_full_mask, read_row_image, row_file
from data_manifests.manifest.schema import Manifest, ManifestRow

if TYPE_CHECKING:
    from datasets import DatasetDict


def manifest_to_hf(manifest: Manifest) -> DatasetDict:
    """See :meth:`Manifest.to_hf`."""
    try:
        import datasets
    except ImportError as error:
        raise ManifestError("A Hugging Face dataset needs the package datasets: pip install datasets.") from error
    names = list(manifest.label_space.class_names)
    features = datasets.Features(
        {
            "image_id": datasets.Value("string"),
            "image": datasets.Image(),
            "annotation": datasets.Image(),
            "sparse": datasets.Value("bool"),
            "num_labelled": datasets.Value("int64"),
            "classes_labelled": datasets.Sequence(datasets.ClassLabel(names=names)),
            "ignore_index": datasets.Value("int32"),
        }
    )
    splits: dict[str, list[dict[str, Any]]] = {}
    for row in manifest.rows:
        if row.annotation or row.full_mask:
            splits.setdefault(row.split, []).append(_example(manifest, row))
    return datasets.DatasetDict(
        {split: datasets.Dataset.from_list(rows, features=features) for split, rows in splits.items()}
    )


def _example(manifest: Manifest, row: ManifestRow) -> dict[str, Any]:
    if row.annotation:
        labels = _file_or_bytes(manifest, row.annotation)
    else:
        labels = {"path": None, "bytes": encode_label_map(read_row_full_mask(manifest, row), manifest.label_space)}
    image: dict[str, Any] | None = None  # without one, where the annotation was made from masks alone
    if row.image and manifest.info.images == DEFAULT_VIEW:
        image = _file_or_bytes(manifest, row.image)
    elif row.image:
        image = {"path": None, "bytes": encode_image(read_row_image(manifest, row))}
    return {
        "image_id": row.image_id, "image": image, "annotation": labels, "sparse": bool(row.annotation),
        "num_labelled": row.num_labelled, "classes_labelled": list(row.classes_labelled),
        "ignore_index": manifest.label_space.unlabelled_value,
    }  # fmt: skip


def _file_or_bytes(manifest: Manifest, cell: str) -> dict[str, Any]:
    """Local files are opened when an example is read, or stored by ``push_to_hub``; others are read now."""
    path = row_file(manifest, cell)
    if is_remote(path):
        return {"path": None, "bytes": path.read_bytes()}
    return {"path": str(absolute(path)), "bytes": None}
