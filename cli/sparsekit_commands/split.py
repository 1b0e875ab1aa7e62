"""``sparsekit split``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.reporting import usage_errors


@command(short_help="Split a manifest into train, val and test.")
@options.manifest_argument
@options.out_option("Folder of the new manifest.", type=options.PathType(), required=True)
@click.option("--val", type=options.FloatRange(0, 1), default=0.2, show_default=True, help="Share of images for val.")
@click.option("--test", type=options.FloatRange(0, 1), default=0.0, show_default=True, help="Share of images for test.")
@click.option(
    "--by",
    type=click.Choice(["image", "group", "class"]),
    default="image",
    show_default=True,
    help="What to share out: single images, whole groups (cities, sequences), or each class as evenly as can be.",
)
@click.option(
    "--group-pattern",
    default=r"[^_/]+",
    show_default=True,
    help="With --by group: what this regular expression matches at the start of an image id names its group.",
)
@click.option("--split", help="Share out the images of this split only; the others stay where they are.")
@options.seed_option
@options.workers_option
@options.overwrite_option
def split(
    manifest: Path,
    out_dir: Path,
    val: float,
    test: float,
    by: str,
    group_pattern: str,
    split: str | None,
    seed: int,
    workers: int,
    overwrite: bool,
) -> None:
    """Write a manifest whose images are shared out to train, val and test anew.

    Images and annotations stay where they are. Equal seeds give equal splits on every machine. Images without an
    annotation, as those listed for evaluation, are shared out as well, unless --split leaves them where they are.
    """
    from data_manifests.errors import counted
    from data_manifests.manifest.split import split_manifest

    shares = {name: share for name, share in {"val": val, "test": test}.items() if share > 0}
    with usage_errors():
        derived = split_manifest(
            options.read_manifest(manifest), out_dir, shares,
            by=by, group_pattern=group_pattern, split=split, seed=seed, workers=workers,  # type: ignore[arg-type]
        )  # fmt: skip
    derived.write(overwrite=overwrite)
    if bare := sum(row.split == "train" and not row.annotation for row in derived.manifest.rows):
        click.echo(
            f"Note: {counted(bare, 'image')} of train without an annotation, to train on with --supervision full only. "
            "--split shares out the images of one split alone, such as the annotated one.",
            err=True,
        )
    click.echo(f"{derived.manifest.path}: {options.count_splits(derived.manifest.splits)}")
