"""``sparsekit verify``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.progress import progress
from cli.reporting import echo, echo_json, first_of, shown_path
from cli.types import PathType
from data_manifests.errors import counted


@command(short_help="Regenerate annotations and compare them.")
@options.manifest_argument
@click.option(
    "--dataset",
    "dataset_dir",
    type=PathType(),
    help="Your copy of the dataset, if its masks have other names or values than in the manifest, or for marks of "
    "instances; otherwise --data-root suffices.",
)
@options.workers_option
@options.json_option
@click.pass_context
def verify(ctx: click.Context, manifest: Path, dataset_dir: Path | None, workers: int | None, as_json: bool) -> None:
    """Regenerate annotations from the recorded settings and your data, and check that they are the same.

    MANIFEST is a manifest.csv or the folder that holds it. Nothing is written. The exit code is 1 if anything differs.
    Grown labels are grown again from the manifest that they were made from.
    """
    from agmm.config.growing import FEATURES
    from data_manifests.manifest.rows import MOVED_ADVICE
    from data_manifests.manifest.schema import GROWN
    from sparsekit.synthesis.verify import verify_manifest

    read = options.read_manifest(manifest)
    total = sum(bool(row.annotation) for row in read.rows)
    is_grown = read.info.command == GROWN
    if is_grown and dataset_dir:
        raise click.UsageError("Grown labels are not made from full masks; leave out --dataset.")
    with progress(total) as advance:
        if is_grown and read.info.settings.get("method") == FEATURES:
            from agmm.requirements import require_training_packages

            require_training_packages()
            from agmm.inference.grow import verify_features

            problems = verify_features(read, on_image=advance)
        else:
            problems = verify_manifest(read, dataset_dir, workers=workers, on_image=advance)
    if as_json:
        echo_json({"manifest": str(read.path), "num_images": total, "problems": [asdict(p) for p in problems]})
    elif problems:
        num_images, shown = len({problem.image_id for problem in problems}), first_of(problems)
        lines = [f"{problem.image_id}: {problem.message} [{problem.kind}]" for problem in shown]
        more = [f"and {len(problems) - len(shown)} more; -v lists all"] if len(problems) > len(shown) else []
        differ = f"{num_images} of {counted(total, 'image')} {'differs' if num_images == 1 else 'differ'}"
        moved = [f"\n{MOVED_ADVICE}"] if any(problem.kind == "missing" for problem in problems) else []
        echo("\n".join([f"{shown_path(read.path)}: {differ}.", *lines, *more, *moved]))
    else:
        echo(f"{shown_path(read.path)}: {counted(total, 'annotation')} regenerated, all the same.")
    if problems:
        ctx.exit(1)
