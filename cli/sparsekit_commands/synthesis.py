"""What the commands that make annotations share: read the dataset, run, show progress, print the summary."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import options
from cli.dataset_options import DatasetOptions, dataset_options
from cli.progress import counting
from cli.reporting import echo_json, echo_next, usage_errors
from data_manifests.errors import counted

if TYPE_CHECKING:
    from data_manifests import Dataset
    from sparsekit.synthesis.annotators import Annotator
    from sparsekit.synthesis.output_folder import FolderSummary


def synthesis_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of every command that makes annotations from a dataset; they are the arguments of ``run_synthesis``."""
    for option in reversed(
        [
            options.out_option(
                "Folder in which the annotation folders are created.", type=options.PathType(), default=Path("sparse")
            ),
            options.seed_option,
            click.option(
                "--split", "splits", multiple=True,
                help="Split to annotate; may be given several times.  [default: train where there is one, else all]",
            ),
            click.option("--limit", type=click.IntRange(min=1), help="Only the first so many images of each split."),
            dataset_options,
            options.workers_option,
            click.option("--dask", metavar="ADDRESS", help="Use the workers of this dask scheduler (tcp://host:8786)."),
            click.option(
                "--shard", type=options.ShardType(), default="1/1",
                help="Do only part i of n, counted from 1; the last part to finish puts the folder in its place.",
            ),
            options.overwrite_option,
            click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
            click.option("--absolute-paths", is_flag=True, help="Write absolute paths into the manifest."),
            options.json_option,
        ]
    ):  # fmt: skip
        command = option(command)
    return command


def run_synthesis(
    dataset_dir: Path | None,
    annotator: Annotator,
    *,
    out_dir: Path,
    seed: int,
    splits: tuple[str, ...],
    limit: int | None,
    dataset_options: DatasetOptions,
    workers: int,
    dask: str | None,
    shard: tuple[int, int],
    overwrite: bool,
    dry_run: bool,
    absolute_paths: bool,
    as_json: bool,
) -> None:
    """Annotate a dataset and print what came of it; the arguments are those of ``synthesize``."""
    from data_manifests.layouts.mask_values import orientation_notes
    from sparsekit.synthesis.synthesize import choose_splits, synthesize

    started = time.perf_counter()
    dataset = dataset_options.open(dataset_dir, None if dry_run else out_dir)
    with usage_errors():
        annotated_splits = choose_splits(dataset, splits)
    for note in (*dataset.notes, *orientation_notes(dataset.items)):
        click.echo(f"Note: {note}", err=True)
    if annotator.uses_instances and not any(item.instance_path for item in dataset.items):
        click.echo(f"Layout {dataset.layout} has no true instances: connected regions take their place.", err=True)
    if dry_run:
        _print_plan(dataset, annotator, annotated_splits, out_dir, limit, as_json)
        return
    with counting() as counter:
        summaries = synthesize(
            dataset,
            annotator,
            out_dir,
            seed=seed,
            splits=annotated_splits,
            limit=limit,
            workers=workers,
            dask=dask,
            shard=shard,
            overwrite=overwrite,
            absolute_paths=absolute_paths,
            on_start=lambda done, total: counter.start(total, done),
            on_image=counter.advance,
        )
    seconds = time.perf_counter() - started
    if as_json:
        results = [_to_dict(summary) for summary in summaries]
        echo_json(
            {
                "dataset": str(dataset_dir or dataset.root),
                "layout": dataset.layout,
                "seconds": seconds,
                "results": results,
            }
        )
    else:
        _print_summaries(dataset, summaries, shard, seconds)


def _print_plan(
    dataset: Dataset, annotator: Annotator, splits: tuple[str, ...], out_dir: Path, limit: int | None, as_json: bool
) -> None:
    from sparsekit.synthesis.synthesize import output_folders

    counts = {s: sum(item.split == s for item in dataset.items) for s in dataset.splits}
    counts = {s: n if limit is None else min(n, limit) for s, n in counts.items()}
    folders = [str(folder) for folder, _ in output_folders(dataset, annotator, out_dir)]
    if as_json:
        echo_json({"layout": dataset.layout, "images": counts, "annotated_splits": splits, "folders": folders})
        return
    for split, count in counts.items():
        what = "to annotate" if split in splits else "to list for evaluation"
        click.echo(f"{split}: {counted(count, 'image')} {what}")
    for folder in folders:
        click.echo(f"would write {folder}/")


def _to_dict(summary: FolderSummary) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(summary) | {"folder": str(summary.folder), "manifest": str(summary.folder / "manifest.csv")}


def _print_summaries(dataset: Dataset, summaries: list[FolderSummary], shard: tuple[int, int], seconds: float) -> None:
    for summary in summaries:
        listed = f", {summary.num_evaluation_images} listed for evaluation" if summary.num_evaluation_images else ""
        if summary.missing_shards:
            others = counted(summary.missing_shards, "other has", "others have")
            click.echo(
                f"{summary.folder}: shard {shard[0]} of {shard[1]} is done, {others} still to finish. Of this one:"
            )
        else:
            click.echo(f"{summary.folder / 'manifest.csv'}")
        if summary.already_there:
            images = counted(summary.num_images, "image")
            click.echo(f"  was there already: {images}{listed}; --overwrite makes it again")
            continue
        present, reached = summary.classes_present, summary.classes_reached
        missed = f" ({1 - reached / present:.0%} missed)" if present else ""
        click.echo(f"  {counted(summary.num_images, 'image')} annotated{listed}")
        click.echo(f"  {counted(summary.num_marks, 'mark')} on {counted(summary.num_labelled, 'pixel')}")
        click.echo(f"  {reached:,} of {counted(present, 'class', 'classes')} of images reached{missed}")
        if short := summary.num_short_images:
            click.echo(
                f"  {counted(short, 'image has', 'images have')} fewer annotated pixels than clicks: all were taken"
            )
        if void := summary.num_void_images:
            click.echo(f"  {counted(void, 'image has', 'images have')} a mask that is void everywhere: no marks")
    total = sum(s.num_images + s.num_evaluation_images for s in summaries[:1])
    click.echo(f"{dataset.layout}, {counted(total, 'image')} in {seconds:.1f} s")
    if not any(summary.missing_shards for summary in summaries):
        following = "render" if dataset.items[0].image_path else "stats"
        echo_next("sparsekit", following, *(summary.folder / "manifest.csv" for summary in summaries))
