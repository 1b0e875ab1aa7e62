"""mIoU by annotation budget, in clicks and minutes; table and figure share these points."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agmm.errors import TrainingError
from agmm.report.run import ALL_TERMS, FULL_MASKS, SILENT_SETTINGS, Run, read_run
from agmm.report.runs import choose_records, describe_scores
from agmm.report.table_format import SPREAD, Cell, Scores, Table, has_spread
from agmm.studies.results import RESULTS_NAME, annotation_titles, read_results
from data_manifests import Manifest
from data_manifests.manifest.words import annotation_words


@dataclass(frozen=True)
class Work:
    """Work behind the annotation of a manifest.

    Args:
        num_images: Annotated images.
        marks_per_image: Mean number of clicks, strokes and other marks.
        minutes_per_image: Estimated minutes of a person's time; None if unknown.
    """

    num_images: int
    marks_per_image: float | None
    minutes_per_image: float | None


@dataclass(frozen=True)
class BudgetPoint:
    """The scores of one way to train at one budget.

    Args:
        name: Name of its runs or setting.
        way: Loss and settings in words, without the annotation; points of one way make a line.
        annotation: The human annotation in words.
        loss: Terms of the loss in words.
        work: Work behind the annotation; None if unknown.
        scores: mIoU in per cent, of one or several seeds; None if no class occurs in the images.
    """

    name: str
    way: str
    annotation: str
    loss: str
    work: Work | None
    scores: Scores | None

    @property
    def is_full(self) -> bool:
        """Whether it was trained on full masks."""
        return self.annotation == FULL_MASKS

    @property
    def clicks(self) -> float | None:
        """Clicks per image, or other marks; None if unknown."""
        if self.work is not None and self.work.marks_per_image is not None:
            return self.work.marks_per_image
        found = re.match(r"(\d+) clicks?\b(?! per )", self.annotation)
        return float(found[1]) if found else None

    @property
    def minutes(self) -> float | None:
        """Minutes of annotation per image; None if unknown."""
        return None if self.work is None else self.work.minutes_per_image


@dataclass(frozen=True)
class Budgets:
    """Points to compare, and a description of the scores."""

    points: tuple[BudgetPoint, ...]
    measured: str

    @property
    def full(self) -> BudgetPoint | None:
        """The best point of full masks, which counts as 100 %; None if there is none."""
        points = [point for point in self.points if point.is_full and point.scores is not None]
        return max(points, key=lambda point: 0.0 if point.scores is None else point.scores.mean, default=None)


def budgets_of_runs(
    runs: Sequence[Run], work_of: Callable[[Run], Work | None], split: str = "val", protocol: str | None = None
) -> Budgets:
    """Points of runs; runs that differ only in their seed form one point.

    Args:
        runs: Runs to compare.
        work_of: Returns the work behind a run's annotation; None if unknown.
        split: Split whose scores to show.
        protocol: Prefix of the protocol's name; by default any.

    Raises:
        TrainingError: If the runs have no comparable scores.
    """
    records = choose_records(runs, split, protocol)
    score_of = {run.name: record["miou"] for run, record in zip(runs, records, strict=True)}
    points = []
    for name, group in _but_for_the_seed(runs):
        run = group[0]
        values = tuple(100 * score for run in group if (score := score_of[run.name]) is not None)
        budget, *how = run.annotation.split(", ")
        rest = [part for part in name.split(", ") if part not in (budget, *how, run.method)]
        way = ", ".join(filter(None, [run.method, *rest, *how, run.grown_by and f"grown by {run.grown_by}"]))
        points.append(
            BudgetPoint(name, way, run.annotation, run.loss, work_of(run), Scores(values) if values else None)
        )
    return Budgets(tuple(points), describe_scores(records[0]))


def is_study(path: Path) -> bool:
    """Whether a path is the folder of a study, or its ``results.csv`` under any name."""
    return path.suffix == ".csv" or (path / RESULTS_NAME).is_file()


def budgets_of_study(
    path: Path,
    work_of: Callable[[Mapping[str, str]], Work | None],
    ways: Sequence[str] = (),
    manifests: Mapping[str, Manifest] | None = None,
) -> Budgets:
    """Points of a study by ``agmm ablate``; each setting is one way to train.

    Args:
        path: Folder of the study, or its ``results.csv``.
        work_of: Returns the work behind the annotation of a row of ``results.csv``; None if unknown.
        ways: Only these settings and full masks; by default all settings.
        manifests: Manifests by the names of their annotations in ``results.csv``, to describe these in words. Without
            one, a run of the study does; without either, the name remains.

    Raises:
        TrainingError: If there are no results, they were scored in different ways, or a setting or a manifest is not
            one of the study.
    """
    path = path if path.suffix == ".csv" else path / RESULTS_NAME
    rows = list(read_results(path).values())
    if not rows:
        raise TrainingError(f"{path}: no results of a study.")
    how = sorted({f"{row['split']} split; {row['protocol']}" for row in rows})
    if len(how) > 1:
        raise TrainingError(f"{path}: scores of different kinds cannot be compared: {'; '.join(how)}.")
    names = list(dict.fromkeys(row["setting"] for row in rows))
    if unknown := [way for way in ways if way not in names]:
        raise TrainingError(f"{path}: no setting '{unknown[0]}'. Settings: {'; '.join(names)}.")
    annotations = list(dict.fromkeys(row["annotation"] for row in rows))
    manifests = manifests or {}
    used = {manifest.path for name, manifest in manifests.items() if name in annotations}
    if strange := [manifest.path for manifest in manifests.values() if manifest.path not in used]:
        raise TrainingError(f"{path}: has no runs on {strange[0]}. Annotations: {'; '.join(annotations)}.")
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        if not ways or row["setting"] in (*ways, FULL_MASKS):
            groups.setdefault((row["setting"], row["annotation"]), []).append(row)
    points: list[BudgetPoint] = []
    titles = _titles_of_study(path.parent, rows, manifests)
    for (setting, annotation), group in groups.items():
        scores = Scores(tuple(100 * float(row["miou"]) for row in group))
        if setting != FULL_MASKS:
            way = setting.replace(ALL_TERMS, "AGMM")
            points.append(BudgetPoint(way, way, titles[annotation], setting, work_of(group[0]), scores))
        elif not any(point.is_full for point in points):  # the annotation makes no difference to it
            points.append(BudgetPoint(setting, setting, setting, setting, work_of(group[0]), scores))
    return Budgets(tuple(points), how[0])


def _titles_of_study(
    folder: Path, rows: Sequence[Mapping[str, str]], manifests: Mapping[str, Manifest]
) -> dict[str, str]:
    """The annotations of a study in words, by their names in ``results.csv``."""
    words = {row["annotation"]: "" for row in rows}
    words |= {name: annotation_words(manifest.info) for name, manifest in manifests.items() if name in words}
    for row in rows:
        if not words[row["annotation"]] and (folder / row["run"]).is_dir():
            run = read_run(folder / row["run"], row["setting"])
            words[row["annotation"]] = "" if run.is_full else run.annotation
    return annotation_titles(words)


def budget_table(budgets: Budgets) -> Table:
    """Table of mIoU, its share of full supervision, and mIoU per minute, by clicks and minutes of annotation.

    The column of the loss is omitted where it repeats the names, as in most studies.
    """
    full = budgets.full
    top = None if full is None or full.scores is None else full.scores.mean
    shows_loss = any(point.loss != point.name for point in budgets.points)
    lines: list[tuple[float, tuple[Cell, ...]]] = []
    for point in budgets.points:
        minutes, mean = point.minutes, None if point.scores is None else point.scores.mean
        marks = None if point.is_full else point.clicks
        hours = None if point.work is None or minutes is None else point.work.num_images * minutes / 60
        order = float("inf") if minutes is None else minutes  # of one budget, as the runs or settings were given
        cells = (
            point.name, point.annotation, *((point.loss,) if shows_loss else ()), marks,
            *(None if x is None else f"{x:.2f}" for x in (minutes, hours)), point.scores,
            None if top is None or mean is None else 100 * mean / top,
            None if mean is None or not minutes else mean / minutes,
        )  # fmt: skip
        lines.append((order, cells))
    rows = [cells for _, cells in sorted(lines, key=lambda line: line[0])]
    notes = ["Minutes are estimates, by the model of `sparsekit cost`."]
    if full is None:
        notes.append("For the share of full supervision, add a run trained with --supervision full.")
    notes += [SPREAD] if has_spread(rows) else []
    header = (
        "run", "annotation", *(("loss",) if shows_loss else ()), "marks/image", "minutes/image", "hours", "mIoU (%)",
        "% of full supervision", "mIoU/minute",
    )  # fmt: skip
    return Table(f"What each budget gives; {budgets.measured}", header, tuple(rows), tuple(notes))


def _but_for_the_seed(runs: Sequence[Run]) -> list[tuple[str, list[Run]]]:
    """Group runs that differ only in their seed, each with the common part of their names."""
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        settings = {key: value for key, value in run.settings.items() if key not in ("seed", *SILENT_SETTINGS)}
        made_of = (run.annotation, run.loss, json.dumps(settings, sort_keys=True))
        groups.setdefault(made_of, []).append(run)
    found = []
    for group in groups.values():
        if len({run.info.config.seed for run in group}) < len(group):  # something other than a setting differs
            found += [(run.name, [run]) for run in group]
            continue
        parts = [run.name.split(", ") for run in group]
        name = ", ".join(part for part in parts[0] if all(part in others for others in parts))
        found.append((name or group[0].annotation, group))
    return found
