"""``agmm ablate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agmm.config.training import Refinement
from agmm.studies.paper_tables import TABLES as PAPER_TABLES
from agmm.studies.paper_tables import require_agmm
from cli.agmm_commands.options import (
    protocol_option,
    read_settings,
    refine_option,
    threshold_option,
    training_options,
    with_all_bands,
)
from cli.command import command, is_quiet, option_group
from cli.options import data_root_option, data_root_words, json_option, out_option, overwrite_option, read_manifest
from cli.processes import is_first_process
from cli.reporting import echo, echo_json, echo_next, echo_summary, shown_path, usage_errors
from cli.types import Choice, IntRange, PathType, list_option

if TYPE_CHECKING:
    from agmm.studies.runner import Plan
    from agmm.studies.study import Study

    Row = dict[str, str]  # of results.csv


def _worth_a_look(study: Study, rows: Sequence[Row]) -> list[Row]:
    """Two runs of equal seed and data to compare: the baseline or first setting, and the best of the others."""
    rivals = [row for row in rows if row["setting"] != study.ceiling] or rows
    best = max(rivals, key=lambda row: float(row["miou"]))
    beside = [row for row in rows if (row["annotation"], row["seed"]) == (best["annotation"], best["seed"])]
    reference = next((row for row in beside if row["setting"] == study.baseline), beside[0])
    others = [row for row in beside if row["setting"] != study.ceiling and row["run"] != reference["run"]]
    return [reference, *sorted(others, key=lambda row: -float(row["miou"]))[:1]]


def announce_run(number: int, total: int, plan: Plan) -> None:
    """Say on stderr which run of a study begins."""
    if is_first_process() and not is_quiet():
        what = f"{plan.annotation}, {plan.setting.name}, seed {plan.config.seed}"
        click.echo(f"run {number}/{total}: {what}", err=True)


@command(short_help="Train and compare several settings.")
@data_root_option
@click.argument("sources", type=PathType(), nargs=-1, metavar="MANIFEST... | STUDY.toml")
@option_group(
    "Study",
    click.option(
        "--table",
        type=Choice([str(number) for number in PAPER_TABLES]),
        help="Settings of a table of the paper's supplement: 1 lambda, 2 loss terms and multi-stage training.",
    ),
    list_option(
        "--seeds",
        type=IntRange(min=0),
        metavar="N",
        help="Train each setting once per seed.  [default: the study's, else 0]",
    ),
    click.option("--split", metavar="NAME", help="Split to score.  [default: the study's, else val]"),
    protocol_option("Segment images like this to score them.  [default: the study's, else whole]"),
)
@option_group(
    "Pseudo-labels",
    protocol_option(
        "Segment training images like this between stages.  [default: the study's, else multi-scale]",
        "--pseudo-protocol",
    ),
    threshold_option,
    refine_option,
)
@training_options
@option_group("Output", out_option("Folder of the study.", default=Path("study")), overwrite_option, json_option)
def ablate(
    sources: tuple[Path, ...],
    table: str | None,
    seeds: tuple[int, ...],
    out_dir: Path,
    split: str | None,
    protocol: str | None,
    pseudo_protocol: str | None,
    threshold: float,
    refine: Refinement,
    overwrite: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Train and compare several settings on one or several manifests.

    The settings come from a table of the paper's supplement (--table) or from a STUDY.toml, which may also name the
    manifests and seeds. Each run becomes a row of results.csv; report.md has means and deviations next to the published
    numbers. Repeat an interrupted command to resume. Several processes that run the same command share the work.
    """
    from agmm.requirements import require_training_packages
    from agmm.studies.study import read_study

    files = [path for path in sources if path.suffix == ".toml"]
    if len(files) + (table is not None) != 1:
        raise click.UsageError("Give one of --table 1, --table 2 or a STUDY.toml, which lists the settings to compare.")
    if flags["seed"] is not None:
        raise click.UsageError("A study takes --seeds, not --seed.")
    if len(set(seeds)) < len(seeds):
        raise click.UsageError(f"--seeds must differ, got {','.join(map(str, seeds))}.")

    with usage_errors():
        study = PAPER_TABLES[int(table)] if table else read_study(files[0])
        paths = [path for path in sources if path.suffix != ".toml"] or list(study.manifests)
        if not paths:
            raise click.UsageError("Give the manifests to train on.")
        manifests = [read_manifest(path) for path in paths]
        own = {"recipe": flags["recipe"] or study.recipe, "config_path": flags["config_path"] or study.base}
        config = read_settings(with_all_bands(flags, manifests[0]) | own)
        if table:
            require_agmm(config)
        require_training_packages(crf=refine == "crf")
        from agmm.inference.crf import require_colors
        from agmm.inference.protocols import make_protocol
        from agmm.studies.results import REPORT_NAME, RESULTS_NAME, annotation_names
        from agmm.studies.runner import run_study

        if refine == "crf":
            require_colors(config.num_channels)
        scored_split, pseudo = split or study.split or "val", pseudo_protocol or study.pseudo_protocol or "multi-scale"
        rows = run_study(
            study, manifests, config, out_dir, seeds=seeds or study.seeds or (0,), split=scored_split,
            protocol=protocol or study.protocol or "whole",  # type: ignore[arg-type]
            pseudo_protocol=make_protocol(pseudo, config.crop_size, crf=refine == "crf"),  # type: ignore[arg-type]
            threshold=threshold, overwrite=overwrite, quiet=is_quiet(), on_run=announce_run,
        )  # fmt: skip
    if not is_first_process():
        return
    if as_json:
        echo_json({"results": str(out_dir / RESULTS_NAME), "report": str(out_dir / REPORT_NAME), "runs": list(rows)})
        return
    report = (out_dir / REPORT_NAME).read_text(encoding="utf-8")
    echo(report.partition("\nChanges in each row")[0].rstrip())
    echo_summary(f"\nWritten: {shown_path(out_dir / RESULTS_NAME)}, {shown_path(out_dir / REPORT_NAME)}")
    if len(manifests) > 1:
        echo_next("agmm", "figure", "budget", out_dir, "--out", out_dir / "budget.png")
        return
    compared = _worth_a_look(study, rows)
    runs = [out_dir / row["run"] for row in compared]
    manifest = dict(zip(annotation_names(manifests), paths, strict=True))[compared[0]["annotation"]]
    on_split = () if scored_split == "val" else ("--split", scored_split)
    echo_next("agmm", "report", *runs, "--manifest", manifest, *on_split, *data_root_words())
