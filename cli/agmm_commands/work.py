"""Annotation work behind a run, by the cost model of sparsekit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.reporting import usage_errors, warn
from cli.types import PathType

if TYPE_CHECKING:
    from agmm.report.budget import Budgets, Work
    from agmm.report.run import Run
    from data_manifests import Manifest
    from sparsekit.audit.cost_model import CostModel

_F = TypeVar("_F", bound=Callable[..., Any])

_BUDGET_OPTIONS = (
    click.option(
        "--setting", "ways", metavar="NAME", multiple=True,
        help="Show this setting of a study only; repeat for several.",
    ),
    click.option(
        "--annotation", "annotations", type=PathType(), multiple=True,
        help="Manifest of a study whose runs are gone, to count its marks and minutes; repeat for several.",
    ),
    click.option(
        "--cost-model", type=PathType(), help="TOML file of annotation times for budget; see `sparsekit cost`."
    ),
)  # fmt: skip


def budget_options(command: _F) -> _F:
    """Give a command the keyword arguments of ``read_budgets``."""
    for option in reversed(_BUDGET_OPTIONS):
        command = option(command)
    return command


def refuse_budget_options(given: Mapping[str, object]) -> None:
    """Refuse the options of budgets for a figure or table of another kind.

    Raises:
        click.UsageError: If one is given.
    """
    if any(given.values()):
        raise click.UsageError("--setting, --annotation and --cost-model are for budget.")


def read_budgets(
    runs: Sequence[Path],
    names: Sequence[str],
    split: str | None,
    protocol: str | None,
    *,
    ways: Sequence[str],
    annotations: Sequence[Path],
    cost_model: Path | None,
) -> Budgets:
    """The budgets of scored runs, or of the settings of one study.

    Raises:
        click.UsageError: If runs and studies are mixed, or an option is for the other kind.
        TrainingError: If the scores are missing or cannot be compared.
    """
    from agmm.report.budget import budgets_of_runs, budgets_of_study, is_study
    from agmm.report.runs import read_runs, scored_split
    from sparsekit.audit.cost_model import read_cost_model

    model = read_cost_model(cost_model) if cost_model else None
    if any(map(is_study, runs)):
        if len(runs) > 1:
            raise click.UsageError("budget takes runs, or one study; got a study and more.")
        if names or split or protocol:
            raise click.UsageError("--name, --split and --protocol are for runs; a study has its own.")
        manifests = _by_name(annotations)
        return budgets_of_study(runs[0], _work_of_study(runs[0], manifests, model), ways, manifests)
    if ways or annotations:
        raise click.UsageError("--setting and --annotation are for a study; runs know both themselves.")
    with usage_errors():
        found = read_runs(runs, names)
    return budgets_of_runs(found, lambda run: work_of_run(run, model), split or scored_split(found), protocol)


def work_of_run(run: Run, model: CostModel | None, on_problem: Callable[[str], None] = warn) -> Work | None:
    """Annotation work behind a run; None, with a warning, if its manifest or marks are missing."""
    from data_manifests import DataError, read_manifest

    try:
        manifest = read_manifest(run.first_stage.manifest_path)
        return _work(manifest, model, run.info.config.train_split, is_full=run.is_full)
    except DataError as error:
        on_problem(f"{run.folder}: the cost of its annotation is unknown: {error}")
        return None


def _by_name(paths: Sequence[Path]) -> dict[str, Manifest]:
    """Manifests by their names in a study; one may have its folder's, if others of the study are like it."""
    from agmm.studies.results import annotation_names
    from data_manifests import read_manifest

    manifests = [read_manifest(path) for path in paths]
    return {manifest.name: manifest for manifest in manifests} | dict(
        zip(annotation_names(manifests), manifests, strict=True)
    )


def _work_of_study(
    path: Path, manifests: Mapping[str, Manifest], model: CostModel | None
) -> Callable[[Mapping[str, str]], Work | None]:
    """Annotation work behind each row of a study, from its manifests or else from its runs."""
    from agmm.report.run import FULL_MASKS, read_run

    folder = path.parent if path.suffix == ".csv" else path

    def work_of(row: Mapping[str, str]) -> Work | None:
        if manifest := manifests.get(row["annotation"]):
            return _work(manifest, model, "train", is_full=row["setting"] == FULL_MASKS)
        if not (folder / row["run"]).is_dir():
            return None
        return work_of_run(read_run(folder / row["run"], row["setting"]), model)

    return work_of


def _work(manifest: Manifest, model: CostModel | None, split: str, *, is_full: bool) -> Work:
    from agmm.report.budget import Work
    from sparsekit.audit.cost import annotation_cost

    cost = annotation_cost(manifest, model, split=split)
    if is_full:
        minutes = None if cost.full_mask_seconds is None else cost.full_mask_seconds / 60
        return Work(cost.num_images, None, minutes)
    pieces = ("image", "class", "full_mask")
    marks = sum(count for name, count in cost.counts.items() if name not in pieces)
    return Work(cost.num_images, marks / cost.num_images, cost.total_seconds / cost.num_images / 60)
