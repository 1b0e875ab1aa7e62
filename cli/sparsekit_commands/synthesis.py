"""The commands that annotate a dataset share this: read it, annotate, show progress, print the summary."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import options
from cli.command import option_group
from cli.dataset_options import DatasetOptions, dataset_options
from cli.progress import counting
from cli.reporting import echo, echo_json, echo_next, echo_summary, note, shown_path, usage_errors, warn
from cli.types import IntRange, PathType, list_option
from data_manifests.errors import counted

if TYPE_CHECKING:
    from data_manifests import Dataset, Manifest
    from sparsekit.synthesis.annotators import Annotator
    from sparsekit.synthesis.output_folder import FolderSummary


_GROUPS = (
    dataset_options,
    option_group(
        "Dataset",
        list_option(
            "--split", "splits", type=click.STRING, metavar="NAME",
            help="Splits to annotate; the others are listed for evaluation.  [default: train if it exists, else all]",
        ),
        click.option("--limit", type=IntRange(min=1), help="Use the first N images of each split only."),
    ),
    option_group(
        "Output",
        options.out_option("Folder for the annotation folders.", type=PathType(), default=Path("sparse")),
        click.option("--absolute-paths", is_flag=True, help="Write absolute paths to the manifest."),
        options.overwrite_option,
        click.option("--dry-run", is_flag=True, help="Print what would be done and stop."),
        options.json_option,
    ),
    option_group(
        "Execution",
        options.seed_option,
        options.workers_option,
        options.shard_option,
        click.option("--dask", metavar="ADDRESS", help="Run on this dask scheduler, such as tcp://host:8786."),
    ),
)  # fmt: skip


def synthesis_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of ``SynthesisOptions``; it receives them as keyword arguments."""
    for group in reversed(_GROUPS):
        command = group(command)
    return command


@dataclass(frozen=True)
class SynthesisOptions:
    """The values of ``synthesis_options``."""

    dataset_options: DatasetOptions
    splits: tuple[str, ...]
    limit: int | None
    out_dir: Path
    absolute_paths: bool
    overwrite: bool
    dry_run: bool
    as_json: bool
    seed: int
    workers: int | None
    shard: tuple[int, int]
    dask: str | None

    def which(self) -> dict[str, Any]:
        """The arguments of ``synthesize`` that say which annotations to make."""
        return {name: getattr(self, name) for name in ("seed", "splits", "limit", "absolute_paths")}


def run_synthesis(
    dataset_dir: Path | None, annotator: Annotator, given: SynthesisOptions, *, add_to: Path | None = None
) -> None:
    """Annotate a dataset, or add to the marks of a manifest, and print the result."""
    from data_manifests.layouts.image_notes import image_notes
    from sparsekit.synthesis.adding import dataset_of
    from sparsekit.synthesis.synthesize import synthesize, what_to_annotate

    started = time.perf_counter()
    if add_to is not None:
        source: Dataset | Manifest = (manifest := options.read_manifest(add_to))
        dataset = dataset_of(manifest)
    else:
        source = dataset = given.dataset_options.open(dataset_dir, None if given.dry_run else given.out_dir)
    with usage_errors():
        what_to_annotate(source, given.splits, given.limit)
    for text in (*dataset.notes, *image_notes(dataset.items)):
        note(text)
    if annotator.uses_instances and not any(item.instance_path for item in dataset.items):
        note(f"layout {dataset.layout} has no instances; connected regions are used instead.")
    if given.dry_run:
        _print_plan(source, dataset, annotator, given)
        return
    with counting() as counter:
        summaries = synthesize(
            source, annotator, given.out_dir, **given.which(),
            workers=given.workers, dask=given.dask, shard=given.shard, overwrite=given.overwrite,
            on_start=lambda done, total: counter.start(total, done), on_image=counter.advance,
        )  # fmt: skip
    seconds = time.perf_counter() - started
    if given.as_json:
        results = [_to_dict(summary) for summary in summaries]
        echo_json(
            {
                "dataset": str(dataset_dir or dataset.root),
                "layout": dataset.layout,
                "seconds": seconds,
                "results": results,
            }
        )
        return
    for summary in summaries:
        _print_summary(summary, given.shard)
        if not (summary.num_marks or summary.already_there or summary.missing_shards):
            warn(f"{summary.folder}: no image got a mark, so that nothing can be learnt from it.")
    total = sum(s.num_images + s.num_evaluation_images for s in summaries[:1])
    echo_summary(f"{dataset.layout}, {counted(total, 'image')} in {seconds:.1f} s")
    if not any(summary.missing_shards for summary in summaries):
        following = "render" if dataset.items[0].image_path else "stats"
        echo_next("sparsekit", following, *(summary.folder / "manifest.csv" for summary in summaries))


def _print_plan(source: Dataset | Manifest, dataset: Dataset, annotator: Annotator, given: SynthesisOptions) -> None:
    from sparsekit.synthesis.synthesize import finished_folders, output_folders, what_to_annotate

    counts = {split: sum(item.split == split for item in dataset.items) for split in dataset.splits}
    counts = {split: min(n, given.limit or n) for split, n in counts.items()}
    _, splits, _ = what_to_annotate(source, given.splits, given.limit)
    if given.overwrite:
        finished = {folder: False for folder, _ in output_folders(source, annotator, given.out_dir)}
    else:
        finished = finished_folders(source, annotator, given.out_dir, **given.which())
    if given.as_json:
        folders = [{"folder": str(folder), "already_there": is_there} for folder, is_there in finished.items()]
        echo_json({"layout": dataset.layout, "images": counts, "annotated_splits": splits, "folders": folders})
        return
    for split, count in counts.items():
        echo(f"{split}: {counted(count, 'image')} to {'annotate' if split in splits else 'list for evaluation'}")
    for folder, is_there in finished.items():
        where = shown_path(folder)
        echo(f"{where}/ exists already; nothing to do" if is_there else f"would write {where}/")


def _to_dict(summary: FolderSummary) -> dict[str, Any]:
    unknown = dict.fromkeys(("classes_present", "num_short_images")) if summary.already_there else {}
    return asdict(summary) | {"folder": str(summary.folder), "manifest": str(summary.folder / "manifest.csv")} | unknown


def _print_summary(summary: FolderSummary, shard: tuple[int, int]) -> None:
    if summary.missing_shards:
        others = counted(summary.missing_shards, "other has", "others have")
        where = shown_path(summary.folder)
        echo_summary(f"{where}: shard {shard[0]} of {shard[1]} is done, {others} yet to finish. This shard:")
    else:
        echo_summary(summary.folder / "manifest.csv")
    listed = f", {summary.num_evaluation_images} listed for evaluation" if summary.num_evaluation_images else ""
    echo_summary(f"  {counted(summary.num_images, 'image')} annotated{listed}")
    echo_summary(f"  {counted(summary.num_marks, 'mark')} on {counted(summary.num_labelled, 'pixel')}")
    if summary.already_there:
        echo_summary("  existed already; --overwrite makes it again")
        return
    present, reached = summary.classes_present, summary.classes_reached
    missed = f" ({1 - reached / present:.0%} missed)" if present else ""
    echo_summary(f"  {reached:,} of {counted(present, 'image-class pair')} labelled correctly{missed}")
    if off_class := summary.num_off_class:
        echo_summary(f"  {off_class / summary.num_labelled:.1%} of the labelled pixels lie on another class or void")
    if short := summary.num_short_images:
        images = counted(short, "image has", "images have")
        echo_summary(f"  {images} fewer clicks than requested: no other annotated pixel fits")
    if void := summary.num_void_images:
        echo_summary(f"  {counted(void, 'image has', 'images have')} a mask that is all void: no marks")
