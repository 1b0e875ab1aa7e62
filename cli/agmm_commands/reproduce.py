"""``agmm reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agmm.studies.paper_tables import FIGURES, require_agmm
from cli.agmm_commands.ablate import announce_run
from cli.agmm_commands.options import protocol_option, read_settings, training_options
from cli.command import command, is_quiet, option_group
from cli.options import json_option, manifest_argument, out_option, overwrite_option, read_manifest
from cli.processes import is_first_process
from cli.reporting import echo, echo_json, echo_summary, note, shown_path, usage_errors
from cli.types import Choice

if TYPE_CHECKING:
    from agmm.report.run import Run
    from data_manifests import Manifest


@command(short_help="Train and draw a figure of the paper's supplement.")
@click.argument("figure", type=Choice(list(FIGURES)))
@manifest_argument
@option_group(
    "Evaluation",
    click.option("--split", metavar="NAME", default="val", show_default=True, help="Split to score, and to embed."),
    protocol_option("Segment the scored images like this.", default="whole"),
)
@training_options
@option_group(
    "Output",
    out_option("Folder of runs, scores and figure.  [default: reproduced/FIGURE]"),
    overwrite_option,
    json_option,
)
def reproduce(
    figure: str,
    manifest: Path,
    out_dir: Path | None,
    split: str,
    protocol: str,
    overwrite: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Train the networks of a figure of the paper's supplement on MANIFEST, draw it, and compare with the paper.

    figure-2 trains L_seg and AGMM and draws training-set mIoU of segmentation and mixture by epoch. figure-3 trains
    L_seg, AGMM with a stopped gradient and AGMM, and draws their features. Writes FIGURE.pdf and FIGURE.png, and
    results.csv, report.md and runs/ as `agmm ablate` does. Repeat an interrupted command to resume. Published scores
    stand beside yours if the data are the paper's. This needs the extra 'figures'.
    """
    from agmm.report.style import check_figure
    from agmm.requirements import require_training_packages

    out_dir = out_dir or Path("reproduced") / figure
    with usage_errors():
        check_figure()
        data, config = read_manifest(manifest), read_settings(flags)
        require_agmm(config)
        require_training_packages()
        from agmm.studies.results import REPORT_NAME
        from agmm.studies.runner import run_study

        study = FIGURES[figure]
        rows = run_study(
            study, [data], config, out_dir, seeds=(config.seed,), split=split, protocol=protocol,  # type: ignore[arg-type]
            overwrite=overwrite, quiet=is_quiet(), on_run=announce_run,
        )  # fmt: skip
    if not is_first_process():
        return
    from agmm.report.runs import read_runs

    names = ["L_seg", "AGMM"] if figure == "figure-2" else ["L_seg", "AGMM, stop gradient", "AGMM"]
    paths = [out_dir / f"{figure}.{suffix}" for suffix in ("pdf", "png")]
    _draw(figure, read_runs([out_dir / row["run"] for row in rows], names), data, split, paths, config.device)
    if as_json:
        echo_json({"figures": [str(path) for path in paths], "report": str(out_dir / REPORT_NAME), "runs": list(rows)})
        return
    report = (out_dir / REPORT_NAME).read_text(encoding="utf-8")
    echo(report.partition("\nChanges in each row")[0].rstrip())
    if not study.is_published_for(data.label_space, len(data.rows_of(split))):
        note(
            f"The published scores are of the {study.published_images} images of {study.published_in} val; yours are "
            "of other images, so they are not compared."
        )
    echo_summary(f"\nWritten: {', '.join(map(shown_path, [*paths, out_dir / REPORT_NAME]))}")


def _draw(figure: str, runs: list[Run], manifest: Manifest, split: str, paths: list[Path], device: str) -> None:
    from agmm.config.outputs import FIGURES as KINDS
    from agmm.distributed import choose_device
    from agmm.report.figures import draw_training_curves
    from agmm.report.images import choose_rows
    from agmm.report.tsne import draw_tsne

    if figure == "figure-2":
        draw_training_curves(runs, paths)
        return
    kind = KINDS["tsne"]
    rows = choose_rows(manifest, [split], kind.num_images if kind else None)
    draw_tsne(runs, manifest, rows, paths, device=choose_device(device))
