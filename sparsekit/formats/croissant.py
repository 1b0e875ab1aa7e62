"""Croissant metadata of an annotation folder: ``croissant.json`` beside the manifest, for data search engines."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from data_manifests import Manifest
from data_manifests.files.atomic import require_plain, write_atomically
from data_manifests.files.csv import read_records
from sparsekit.errors import AnnotationError

#: Columns of whole numbers; the others are text.
_NUMBERS = {
    "manifest": {"height", "width", "num_labelled"},
    "marks": {"mark", "class_id", "row", "col"},
}
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{
        word: f"cr:{word}"
        for word in (
            "citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet",
            "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet",
            "references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField",
            "transform",
        )
    },
}  # fmt: skip


def write_croissant(manifest: Manifest, *, overwrite: bool = False) -> Path:
    """Write ``croissant.json`` beside a manifest.

    Licence, creator and address are unknown here: add them before publishing.

    Args:
        manifest: Must be on disk, because its hash is recorded.
        overwrite: Replace another ``croissant.json``.

    Returns:
        The file.

    Raises:
        AnnotationError: If another one exists, because somebody may have completed it by hand.
    """
    path = manifest.path.with_name("croissant.json")
    data = (json.dumps(describe_folder(manifest), indent=2, ensure_ascii=False) + "\n").encode()
    require_plain(path)
    if path.exists() and path.read_bytes() != data and not overwrite:
        raise AnnotationError(f"{path}: already exists. Give --overwrite to replace it.")
    write_atomically(path, data)
    return path


def describe_folder(manifest: Manifest) -> dict[str, Any]:
    """The JSON-LD of a manifest: its files, and its rows, marks and classes as record sets."""
    info = manifest.info
    distribution = [_table_file("manifest", manifest.path)]
    records = [_table_records("manifest", manifest.path, ["image_id"])]
    if manifest.marks_path.suffix == ".csv" and manifest.marks_path.is_file():
        distribution.append(_table_file("marks", manifest.marks_path))
        records.append(_table_records("marks", manifest.marks_path, ["image_id", "mark"]))
    settings = ", ".join(f"{key} {value}" for key, value in sorted(info.settings.items()))
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": f"{info.dataset}-{info.command}".strip("-") or "annotations",
        "description": f"Sparse annotations of {info.dataset or 'images'} made by `sparsekit {info.command}` "
        f"{info.tool_version} ({settings}). Label maps hold train ids, and {info.label_space.unlabelled_value} where "
        "there is no label. Images and full masks belong to the dataset and are not part of it.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "version": "1.0.0",
        "distribution": distribution,
        "recordSet": [*records, _class_records(manifest)],
    }


def _table_file(name: str, path: Path) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": f"{name}-file",
        "name": path.name,
        "contentUrl": path.name,
        "encodingFormat": "text/csv",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def _table_records(name: str, path: Path, keys: list[str]) -> dict[str, Any]:
    """The columns of a table as fields, also those of the user's own, which are text."""
    _, columns = next(read_records(path))
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{column}",
            "name": column,
            "dataType": "sc:Integer" if column in _NUMBERS[name] else "sc:Text",
            "source": {"fileObject": {"@id": f"{name}-file"}, "extract": {"column": column}},
        }
        for column in columns
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "key": [{"@id": f"{name}/{key}"} for key in keys],
        "field": fields,
    }


def _class_records(manifest: Manifest) -> dict[str, Any]:
    fields = [
        {"@type": "cr:Field", "@id": f"classes/{name}", "name": name, "dataType": kind}
        for name, kind in (("train_id", "sc:Integer"), ("class", "sc:Text"))
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "name": "classes",
        "key": {"@id": "classes/train_id"},
        "field": fields,
        "data": [
            {"classes/train_id": i, "classes/class": name} for i, name in enumerate(manifest.label_space.class_names)
        ],
    }
