"""``sparsekit info``."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from cli import options
from cli.command import command
from cli.dataset_options import DatasetOptions, dataset_options
from cli.progress import progress
from cli.reporting import echo, echo_json, note
from cli.types import LocalPathType, PathType
from data_manifests.errors import counted

if TYPE_CHECKING:
    from data_manifests import Dataset


@command(short_help="Describe a dataset or a manifest.")
@click.argument("path", metavar="DATASET|MANIFEST", type=PathType(), required=False)
@options.data_root_option
@dataset_options
@click.option(
    "--write-classes",
    type=LocalPathType(),
    metavar="FILE",
    help="Write the classes of the dataset to a new CSV file, to edit their names and colours.",
)
@options.threads_option
@options.json_option
def info(
    path: Path | None, dataset_options: DatasetOptions, write_classes: Path | None, workers: int, as_json: bool
) -> None:
    """Describe a dataset folder or a manifest: layout, splits, sizes, classes and their shares, oddities.

    For a dataset, the command reads every mask and fills shapes drawn with another tool. For a manifest, it reads only
    the rows; `sparsekit validate` reads the files.
    """
    from data_manifests.manifest.info import describe_dataset, describe_manifest

    if path is not None and (path.suffix in (".csv", ".json") or (path / "manifest.csv").is_file()):
        if dataset_options.given or write_classes:
            raise click.UsageError(f"{path} is a manifest; the options that describe a dataset do not apply.")
        described = describe_manifest(options.read_manifest(path))
    else:
        with TemporaryDirectory() as scratch:
            dataset = dataset_options.open(path, Path(scratch))
            if write_classes:
                _write_classes(write_classes, dataset)
            with progress(len(dataset.items)) as advance:
                described = describe_dataset(dataset, workers=workers, on_image=advance)
    if as_json:
        echo_json(described)
    else:
        echo(_format(described))


def _write_classes(path: Path, dataset: Dataset) -> None:
    from data_manifests.errors import DataError
    from data_manifests.layouts.class_tables import write_classes_csv

    if path.exists():
        raise DataError(f"{path}: exists already; name another file, or remove it.")
    write_classes_csv(path, dataset.label_space)
    note(f"wrote {counted(dataset.label_space.num_classes, 'class', 'classes')} to {path}.")


def _format(described: dict[str, Any]) -> str:
    values = {key: value for key, value in described.items() if key not in ("classes", "anomalies") and value != ""}
    width = max(map(len, values))
    lines = [f"{key.replace('_', ' '):{width}}  {_in_words(value, key)}" for key, value in values.items()]
    classes = described["classes"]
    name_width = max(len(c["name"]) for c in classes)
    lines.append(f"\n{'id':>3}  {'class':{name_width}}  {'images':>7}" + ("    share" if "share" in classes[0] else ""))
    for c in classes:
        share = f"  {c['share']:7.2%}" if "share" in c else ""
        lines.append(f"{c['train_id']:>3}  {c['name']:{name_width}}  {c['images']:>7}{share}")
    lines += ["", *(f"Note: {anomaly}" for anomaly in described["anomalies"])] if described["anomalies"] else []
    return "\n".join(lines)


def _in_words(value: Any, name: str = "") -> str:
    if isinstance(value, dict):
        parts = (f"{key.replace('_', ' ')}: {_in_words(part, key)}" for key, part in value.items() if part is not None)
        return ", ".join(parts) or "none"
    if isinstance(value, list | tuple):
        if any(isinstance(part, dict) for part in value):
            return "; ".join(_in_words(part, name) for part in value)
        return " ".join(map(str, value)) or "none"
    if isinstance(value, float):
        if name.endswith("share"):
            return f"{100 * value:.4g} %"
        return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) and name in ("sum", "fewest", "most") else str(value)
