"""``sparsekit export``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.progress import progress
from cli.reporting import echo_json, echo_summary, warn
from cli.types import Choice
from data_manifests.errors import counted
from sparsekit.formats import EXPORTED


@command(short_help="Write annotations in another tool's format.")
@options.manifest_argument
@click.option(
    "--to", "target", type=Choice([*EXPORTED, "croissant"]), required=True, help="Format to write; see above."
)
@options.out_option("Folder to create.  [required, except for croissant]")
@options.split_option
@click.option("--lossy", is_flag=True, help="Export even if the format cannot hold everything; losses are listed.")
@click.option("--link", is_flag=True, help="Link to the images instead of copying them.")
@options.overwrite_option
@options.json_option
def export(
    manifest: Path,
    target: str,
    out_dir: Path | None,
    split: str | None,
    lossy: bool,
    link: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write annotations in another tool's format: its label values, file names and lists.

    MANIFEST is a manifest.csv or the folder that holds it. Images of evaluation splits and their full masks are
    included if the format has a place for them.

    For research code: agmm (AGMM-SASS), tel (TreeEnergyLoss, SASFormer, GatedCRF), urss, spml, pixelpick, s4a
    (Scribbles4All). For training frameworks: nnunet, mmseg (mmsegmentation), hf (Hugging Face imagefolder). For
    labelling tools, which can correct them: labelme, cvat, label-studio, coco. As prompts: sam (Segment Anything).
    croissant describes the annotations in a single file, croissant.json beside the manifest.
    """
    from sparsekit.formats.croissant import write_croissant
    from sparsekit.formats.export import export_manifest

    read = options.read_manifest(manifest)
    if target == "croissant":
        if out_dir or split or lossy or link:
            raise click.UsageError("The format croissant is a file beside the manifest: it takes no --out or --split.")
        path = write_croissant(read, overwrite=overwrite)
        if as_json:
            echo_json({"format": target, "file": str(path)})
        else:
            echo_summary(path)
        return
    if out_dir is None:
        raise click.UsageError("Missing option '--out': the folder to create.")
    total = sum(split in (None, row.split) for row in read.rows)
    with progress(total) as advance:
        summary = export_manifest(
            read, target, out_dir, split=split, lossy=lossy, link=link, overwrite=overwrite, on_image=advance
        )
    for loss in summary.losses:
        warn(f"lost: {loss}")
    if as_json:
        echo_json({"format": target, **asdict(summary), "folder": str(summary.folder)})
        return
    echo_summary(summary.folder)
    with_masks = counted(summary.num_evaluated, "with its full mask", "with their full masks")
    evaluated = f", {with_masks} for evaluation" if summary.num_evaluated else ""
    echo_summary(f"  {target}: {counted(summary.num_annotated, 'annotated image')}{evaluated}")
