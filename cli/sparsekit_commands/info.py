"""``sparsekit info``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli import options
from cli.command import command
from cli.progress import progress
from cli.reporting import echo_json


@command(short_help="Describe a dataset or a manifest.")
@click.argument("path", metavar="DATASET|MANIFEST", type=options.PathType())
@options.layout_option
@options.classes_option
@options.map_option
@options.workers_option
@options.json_option
def info(
    path: Path, layout: str | None, classes_path: Path | None, map_path: Path | None, workers: int, as_json: bool
) -> None:
    """Say what is in a dataset folder or a manifest: layout, splits, sizes, classes and their shares, oddities.

    Of a dataset every mask is read; of a manifest its rows only (`sparsekit validate` reads its files).
    """
    from data_manifests import read_manifest
    from data_manifests.manifest.info import describe_dataset, describe_manifest

    if path.suffix == ".csv" or path.is_file() or (path / "manifest.csv").is_file():
        if layout or classes_path or map_path:
            raise click.UsageError(f"--layout, --classes and --map are for datasets, and {path} is a manifest.")
        described = describe_manifest(read_manifest(path))
    else:
        dataset = options.open_dataset(path, layout, classes_path, map_path)
        with progress(len(dataset.items)) as advance:
            described = describe_dataset(dataset, workers=workers, on_image=advance)
    if as_json:
        echo_json(described)
    else:
        click.echo(_format(described))


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
        return ", ".join(f"{key.replace('_', ' ')}: {_in_words(part, key)}" for key, part in value.items()) or "none"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    if isinstance(value, float):
        if name.endswith("share"):
            return f"{100 * value:.4g} %"
        return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and name in ("sum", "fewest", "most") else str(value)
