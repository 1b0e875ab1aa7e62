"""``agmm report``."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from cli.agmm_commands.options import (
    device_option,
    manifest_option,
    names_option,
    runs_argument,
    scores_protocol_option,
    scores_split_option,
)
from cli.agmm_commands.work import work_of_run
from cli.command import command, option_group
from cli.options import image_option, json_option, out_option, overwrite_option, read_manifest, thumbnail_size_option
from cli.processes import alone_in
from cli.progress import progress
from cli.reporting import echo_json, echo_summary, usage_errors, warn, warn_of_some
from cli.types import IntRange
from data_manifests.errors import counted


@command(short_help="Make an HTML report of one or several runs.")
@runs_argument
@option_group(
    "Content",
    names_option,
    manifest_option,
    scores_split_option,
    scores_protocol_option,
    image_option,
    click.option(
        "--limit", type=IntRange(min=0), default=50, show_default=True,
        help="Show N images, spread evenly over the split and the training images; 0 shows all.",
    ),
    thumbnail_size_option,
)  # fmt: skip
@option_group(
    "Output", out_option("Folder for the page and its figures.", default=Path("report")), overwrite_option, json_option
)
@option_group("Execution", device_option)
def report(
    runs: tuple[Path, ...],
    names: tuple[str, ...],
    manifest_path: Path | None,
    out_dir: Path,
    split: str | None,
    protocol: str | None,
    limit: int,
    image_ids: tuple[str, ...],
    thumbnail_size: int,
    device: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make an HTML report of RUNS: curves, scores, confusion, the mixture, and images with layers.

    The page is self-contained and opens from disk; two runs are compared with a slider. Its figures are also saved as
    PNG and PDF. Scores are those that `agmm evaluate` has written. This needs the extra 'figures'.
    """
    from agmm.requirements import require_safetensors, require_training_packages

    require_safetensors()
    from agmm.report.runs import read_runs, scored_split
    from agmm.runs.files import manifest_of
    from data_manifests import DataError

    manifest = read_manifest(manifest_path or manifest_of(runs[0]))
    _require_no_page(out_dir, overwrite)
    with usage_errors():
        found = read_runs(runs, names, warn)
    require_training_packages()
    from agmm.distributed import choose_device
    from agmm.report.budget import budgets_of_runs
    from agmm.report.folder import NUM_FIGURES, write_report
    from agmm.report.images import choose_rows

    trained_on = found[0].info.config.train_split
    if split is None:
        split = scored_split(found)
        if split not in manifest.splits and trained_on in manifest.splits:  # nothing was held back to score on
            split = trained_on
    splits = [split, *([trained_on] if trained_on != split and trained_on in manifest.splits else [])]
    rows = choose_rows(manifest, splits, limit or None, image_ids)
    budgets = None
    if len(found) > 1:
        with suppress(DataError):  # the page itself says which scores are missing
            budgets = budgets_of_runs(found, lambda run: work_of_run(run, None, lambda _: None), split, protocol)
    if budgets and not any(point.clicks or point.minutes for point in budgets.points if not point.is_full):
        budgets = None  # no place on either axis
    with (
        alone_in(out_dir), progress(len(rows) * len(found)) as on_image, progress(NUM_FIGURES, "figure") as on_figure,
    ):  # fmt: skip
        _require_no_page(out_dir, overwrite)  # again, because another command may have just written one
        summary = write_report(
            found, manifest, rows, out_dir, split=split, protocol=protocol, thumbnail_size=thumbnail_size,
            device=choose_device(device), budgets=budgets, on_image=on_image, on_figure=on_figure,
        )  # fmt: skip
    warn_of_some(summary.problems)
    if as_json:
        page, figures = str(summary.page.path), [str(path) for path in summary.figures]
        echo_json({"page": page, "figures": figures, "problems": list(summary.problems)})
        return
    echo_summary(summary.page.path)
    echo_summary(f"  {counted(summary.page.num_images, 'image')}, {summary.page.num_bytes / 1e6:.1f} MB")
    for path in summary.figures:
        echo_summary(path)


def _require_no_page(out_dir: Path, overwrite: bool) -> None:
    from agmm.report import PAGE_NAME
    from data_manifests import DataError

    if (out_dir / PAGE_NAME).exists() and not overwrite:
        raise DataError(f"{out_dir / PAGE_NAME}: exists already. Give --overwrite to replace it, or another --out.")
