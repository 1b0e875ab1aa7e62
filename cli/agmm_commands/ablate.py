"""``agmm ablate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.agmm_commands.options import read_settings, refine_option, threshold_option, training_options
from cli.command import command
from cli.options import data_root_option, out_option, overwrite_option, read_manifest
from cli.processes import is_first_process
from cli.reporting import echo_next, usage_errors

if TYPE_CHECKING:
    from agmm.studies.runner import Plan
    from agmm.studies.study import Study

    Row = dict[str, str]  # of results.csv


def _read_seeds(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"expected whole numbers with commas between, such as 0,1,2, got '{text}'.") from None
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise click.BadParameter(f"expected different numbers from 0, got '{text}'.")
    return seeds


def _worth_a_look(study: Study, rows: Sequence[Row]) -> list[Row]:
    """Two runs to compare, of equal seed and data: of the baseline or the first setting, and the best of the others."""
    rivals = [row for row in rows if row["setting"] != study.ceiling] or rows
    best = max(rivals, key=lambda row: float(row["miou"]))
    beside = [row for row in rows if (row["annotation"], row["seed"]) == (best["annotation"], best["seed"])]
    reference = next((row for row in beside if row["setting"] == study.baseline), beside[0])
    others = [row for row in beside if row["setting"] not in (reference["setting"], study.ceiling)]
    return [reference, *sorted(others, key=lambda row: -float(row["miou"]))[:1]]


@command(short_help="Train and compare several settings.")
@click.argument("sources", type=click.Path(path_type=Path), nargs=-1, metavar="MANIFEST... | STUDY.toml")
@click.option(
    "--table", type=click.Choice(["1", "2"]), help="Settings of the supplement: 1 lambda, 2 the terms and MT."
)
@click.option(
    "--seeds",
    callback=_read_seeds,
    metavar="N,N,...",
    help="Train each setting once per seed.  [default: the study's, or 0]",
)
@out_option("Folder of the study.", default=Path("study"))
@click.option("--split", help="Split to score.  [default: the study's, or val]")
@click.option(
    "--protocol",
    type=click.Choice(["whole", "sliding", "multi-scale"]),
    help="How images are segmented to be scored.  [default: the study's, or whole]",
)
@click.option(
    "--pseudo-protocol",
    type=click.Choice(["whole", "sliding", "multi-scale"]),
    help="How training images are segmented between stages.  [default: the study's, or multi-scale]",
)
@threshold_option
@refine_option
@overwrite_option
@data_root_option
@training_options
def ablate(
    sources: tuple[Path, ...],
    table: str | None,
    seeds: tuple[int, ...],
    out_dir: Path,
    split: str | None,
    protocol: str | None,
    pseudo_protocol: str | None,
    threshold: float,
    refine: str,
    overwrite: bool,
    **flags: Any,
) -> None:
    """Compare settings on one or several manifests.

    The settings are those of a table of the paper's supplement (--table), or of a STUDY.toml, which may name the
    manifests and seeds as well. Each run is a row of results.csv; report.md holds means and spreads, with the published
    numbers beside them. Repeat an interrupted command to go on; the same command started several times shares the work.
    """
    from agmm.requirements import require_training_packages
    from agmm.studies.paper_tables import TABLES
    from agmm.studies.study import read_study

    files = [path for path in sources if path.suffix == ".toml"]
    if len(files) + (table is not None) != 1:
        raise click.UsageError("Give either --table 1, --table 2 or one STUDY.toml: it lists the settings to compare.")
    if flags["seed"] is not None:
        raise click.UsageError("A study takes --seeds, not --seed.")

    def announce(number: int, total: int, plan: Plan) -> None:
        if is_first_process():
            what = f"{plan.annotation}, {plan.setting.name}, seed {plan.config.seed}"
            click.echo(f"run {number}/{total}: {what}", err=True)

    with usage_errors():
        study = TABLES[int(table)] if table else read_study(files[0])
        paths = [path for path in sources if path.suffix != ".toml"] or list(study.manifests)
        if not paths:
            raise click.UsageError("Give the manifests to train on.")
        manifests = [read_manifest(path) for path in paths]
        own = {"recipe": flags["recipe"] or study.recipe, "config_path": flags["config_path"] or study.base}
        config = read_settings(flags | own)
        require_training_packages(crf=refine == "crf")
        from agmm.inference.protocols import make_protocol
        from agmm.studies.results import REPORT_NAME, RESULTS_NAME, annotation_names
        from agmm.studies.runner import run_study

        scored_split, pseudo = split or study.split or "val", pseudo_protocol or study.pseudo_protocol or "multi-scale"
        rows = run_study(
            study, manifests, config, out_dir, seeds=seeds or study.seeds or (0,), split=scored_split,
            protocol=protocol or study.protocol or "whole",  # type: ignore[arg-type]
            pseudo_protocol=make_protocol(pseudo, config.crop_size, crf=refine == "crf"),  # type: ignore[arg-type]
            threshold=threshold, overwrite=overwrite, on_run=announce,
        )  # fmt: skip
    if not is_first_process():
        return
    report = (out_dir / REPORT_NAME).read_text(encoding="utf-8")
    click.echo(report.partition("\nWhat each row changes")[0].rstrip())
    click.echo(f"\nWritten: {out_dir / RESULTS_NAME}, {out_dir / REPORT_NAME}")
    compared = _worth_a_look(study, rows)
    runs = [out_dir / row["run"] for row in compared]
    manifest = dict(zip(annotation_names(manifests), paths, strict=True))[compared[0]["annotation"]]
    on_split = () if scored_split == "val" else ("--split", scored_split)
    echo_next("agmm", "report", *runs, "--manifest", manifest, *on_split)
