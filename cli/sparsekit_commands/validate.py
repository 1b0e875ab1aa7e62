"""``sparsekit validate``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import options
from cli.command import command
from cli.progress import progress
from cli.reporting import echo, echo_json, first_of, shown_path
from data_manifests.errors import counted

if TYPE_CHECKING:
    from data_manifests.manifest.validate import Problem


@command(short_help="Check a manifest and all its files.")
@options.manifest_argument
@click.option("--quick", is_flag=True, help="Check that files exist and have the right size, without decoding them.")
@options.workers_option
@options.json_option
@click.pass_context
def validate(ctx: click.Context, manifest: Path, quick: bool, workers: int | None, as_json: bool) -> None:
    """Check a manifest with all its files and marks, and list every problem.

    MANIFEST is a manifest.csv or the folder that holds it. Marks are redrawn and compared with the annotations. The
    exit code is 1 if the manifest cannot be used.
    """
    from data_manifests.manifest.io import load_manifest
    from data_manifests.manifest.validate import MINOR_KINDS, check_manifest
    from sparsekit.geometry.rasterize import rasterize

    read, unreadable = load_manifest(manifest)
    read = options.at_data_root(read)
    with progress(len(read.rows)) as advance:
        problems = check_manifest(
            read, unreadable=unreadable, pixels=not quick, draw=rasterize, workers=workers, on_image=advance
        )
    if as_json:
        counts = dict(sorted(Counter(problem.kind for problem in problems).items()))
        echo_json({"manifest": str(read.path), "num_rows": len(read.rows), "counts": counts,
                   "problems": [asdict(problem) for problem in problems]})  # fmt: skip
    else:
        echo(_format(read.path, len(read.rows), problems))
    if any(problem.kind not in MINOR_KINDS for problem in problems):
        ctx.exit(1)


def _format(path: Path, num_rows: int, problems: Sequence[Problem]) -> str:
    from data_manifests.manifest.validate import MINOR_KINDS

    num_notes = sum(problem.kind in MINOR_KINDS for problem in problems)
    num_faults = len(problems) - num_notes
    found = counted(num_faults, "problem") if num_faults else "no problems"
    notes = f"; {counted(num_notes, 'note')}" if num_notes else ""
    lines = [f"{shown_path(path)}: {counted(num_rows, 'row')}, {found}{notes}."]
    for kind, count in Counter(problem.kind for problem in problems).items():
        lines.append(f"\n{kind} ({count})")
        of_kind = [problem for problem in problems if problem.kind == kind]
        shown = first_of(of_kind)
        for problem in shown:
            lines.append(f"  {problem.image_id + ': ' if problem.image_id else ''}{problem.message}")
        if count > len(shown):
            lines.append(f"  and {count - len(shown)} more; -v lists all")
    if any(problem.kind == "missing" for problem in problems):
        from data_manifests.manifest.rows import MOVED_ADVICE

        lines.append(f"\n{MOVED_ADVICE}")
    return "\n".join(lines)
