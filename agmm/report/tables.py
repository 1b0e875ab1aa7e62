"""The tables of the paper's supplement for your own runs, beside the published numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agmm.errors import TrainingError
from agmm.report.published import official_images, published_iou, published_source
from agmm.report.run import LABELS_PREFIX, SILENT_SETTINGS, Run
from agmm.report.run_names import setting_words, settings_apart
from agmm.report.runs import choose_records, describe_scores
from agmm.report.table_format import SPREAD, Cell, Difference, Scores, Table, has_spread
from agmm.studies.paper_tables import TABLES
from agmm.studies.study import LABELS_AS_PUBLISHED, Study, labels_as_published

# Settings in which the runs of one cell may differ.
_MAY_DIFFER = ("seed", *SILENT_SETTINGS)
# Columns of ticks in LaTeX, as in the supplement's table 2.
_PARTS = ("L_seg", "L_self", "L_spar", "L_con", "MT")
_NOT_THE_SAME = "Published numbers hold for the whole official split and very likely for multi-scale evaluation."


def per_class_table(runs: Sequence[Run], split: str = "val", protocol: str | None = None) -> Table:
    """Table of the IoU of each class (supplement, tables 3 and 4), with published IoU and difference if there is one.

    Args:
        runs: One column each.
        split: Split whose scores to show.
        protocol: Prefix of the protocol's name; by default any.

    Raises:
        TrainingError: If the runs have no comparable scores.
    """
    records = choose_records(runs, split, protocol)
    columns: list[tuple[str, list[Cell]]] = []
    for run, record in zip(runs, records, strict=True):
        ours = [_percent(c["iou"]) for c in record["classes"]] + [_percent(record["miou"])]
        columns.append((run.name, list(ours)))
        if published := published_of(run, record):
            theirs = [published[name] for name in (*run.label_space.class_names, "mIoU")]
            columns.append((f"published, {run.annotation}", list(theirs)))
            columns.append(("difference", [_difference(o, t) for o, t in zip(ours, theirs, strict=True)]))
    lines = [
        (name, *(cells[i] for _, cells in columns)) for i, name in enumerate((*runs[0].label_space.class_names, "mIoU"))
    ]
    has_published = any(map(published_of, runs, records))
    notes = (f"Published: {published_source()}. {_NOT_THE_SAME}",) if has_published else ()
    title = f"IoU of each class in %; {describe_scores(records[0])}"
    return Table(title, ("class", *(name for name, _ in columns)), tuple(lines[:-1]), notes, tuple(lines[-1:]))


def published_of(run: Run, record: Mapping[str, Any] | None) -> Mapping[str, float]:
    """Return the published IoU of each class, and mIoU, for comparison with a run's scores.

    Empty if nothing is published for its annotation, or if the scores do not cover as many images as the official
    validation split.
    """
    if run.is_later_stage or record is None or record["num_images"] != official_images(run.label_space):
        return {}
    return published_iou(run.label_space, run.published_as)


def ablation_table(runs: Sequence[Run], split: str = "val", protocol: str | None = None) -> Table:
    """Table of mIoU by loss terms and annotation (supplement, table 2).

    Arguments and errors are those of ``per_class_table``. Runs that differ only in their seed share a cell; runs on
    full masks have their own column. Where runs with the same terms and annotation differ in other settings, their rows
    name those. A first stage without scores is omitted if a later stage is given.
    """
    return _study_table(runs, TABLES[2], lambda run: run.loss, "loss", split, protocol, _PARTS)


def lambda_table(runs: Sequence[Run], split: str = "val", protocol: str | None = None) -> Table:
    """Table of mIoU by the weight of the mixture terms and annotation (supplement, table 1); see ``ablation_table``."""
    return _study_table(runs, TABLES[1], _weight, "weight", split, protocol)


def _weight(run: Run) -> str:
    return f"lambda = {run.first_stage.lambda_ or 0.0}"


def _study_table(
    runs: Sequence[Run],
    study: Study,
    kind_of: Callable[[Run], str],
    what: str,
    split: str,
    protocol: str | None,
    parts: tuple[str, ...] = (),
) -> Table:
    begun = {run.before.folder.resolve() for run in runs if run.before is not None}
    runs = [run for run in runs if run.records or run.folder.resolve() not in begun] or runs
    records = choose_records(runs, split, protocol)
    rows_of = dict(zip((run.folder for run in runs), _row_names(runs, kind_of), strict=True))

    def name_of(run: Run) -> str:
        return rows_of[run.folder][0]

    settings = {setting.name: setting for setting in study.settings}
    order = {name: number for number, name in enumerate(settings)}
    places = {name_of(run): order.get(kind_of(run), len(order)) for run in runs}
    names = sorted(places, key=lambda name: (places[name], _by_number(name)))
    columns: list[tuple[str, list[Cell]]] = []
    has_published = left_out = False
    for annotation, called in sorted({(run.annotation, run.published_as) for run in runs}, key=_budget_order):
        ours = {name: _scores(runs, records, name_of, name, annotation) for name in names}
        columns.append((annotation, [ours[name] for name in names]))
        if not study.is_published_for(runs[0].label_space, records[0]["num_images"]):
            continue
        theirs: dict[str, float | None] = dict.fromkeys(names)
        for run in sorted(runs, key=lambda run: run.annotation == annotation):  # runs of the cell take precedence
            setting = settings.get(rows_of[run.folder][1])
            value = None
            if setting is not None and (setting.stages > 1) == run.is_later_stage:
                value = setting.published.get(called)
            is_like_ours = not run.is_later_stage or _has_labels_as_published(run)
            theirs[name_of(run)] = value if is_like_ours else None
            left_out |= value is not None and not is_like_ours
        if any(value is not None for value in theirs.values()):
            has_published = True
            columns.append(("published", [theirs[name] for name in names]))
            gaps = [_difference(None if (s := ours[n]) is None else s.mean, theirs[n]) for n in names]
            columns.append(("difference", list(gaps)))
    rows = [(name, *(cells[i] for _, cells in columns)) for i, name in enumerate(names)]
    notes = [SPREAD] if has_spread(rows) else []
    if has_published:
        notes.append(f"Published: {published_source()}, on {study.published_in} val. {_NOT_THE_SAME}")
        notes += [LABELS_AS_PUBLISHED] if left_out else []
    title = f"mIoU in %; {describe_scores(records[0])}"
    return Table(title, (what, *(name for name, _ in columns)), tuple(rows), tuple(notes), parts=parts)


def _by_number(name: str) -> list[tuple[float, str]]:
    """Sort key that puts 7 before 80."""
    words = re.split(r"(\d+(?:\.\d+)?)", name)
    return [(float(word), "") if number % 2 else (-1.0, word) for number, word in enumerate(words)]


def _has_labels_as_published(later_stage: Run) -> bool:
    made = later_stage.settings
    return labels_as_published(
        *(made[LABELS_PREFIX + name] for name in ("pseudo_classes", "soft", "threshold", "protocol"))
    )


def _row_names(runs: Sequence[Run], kind_of: Callable[[Run], str]) -> list[tuple[str, str]]:
    """Name the row of each run after its kind and the settings in which runs of that kind and annotation differ.

    The second name lacks the settings of pseudo-labels, because published rows do not mention them.
    """
    begins = [kind_of(run.first_stage) for run in runs]
    apart: dict[str, list[str]] = {}
    for cell in dict.fromkeys((begin, run.annotation) for begin, run in zip(begins, runs, strict=True)):
        alike = [run for begin, run in zip(begins, runs, strict=True) if (begin, run.annotation) == cell]
        known = apart.setdefault(cell[0], [])
        known += [name for name in settings_apart(alike) if name not in (*_MAY_DIFFER, *known)]

    def name(run: Run, settings: Sequence[str]) -> str:
        return ", ".join(filter(None, (kind_of(run), setting_words(run, settings))))

    of_training = {key: [name for name in names if not name.startswith(LABELS_PREFIX)] for key, names in apart.items()}
    return [(name(run, apart[begin]), name(run, of_training[begin])) for begin, run in zip(begins, runs, strict=True)]


def _scores(
    runs: Sequence[Run], records: Sequence[dict[str, Any]], name_of: Callable[[Run], str], name: str, annotation: str
) -> Scores | None:
    """Scores of one cell, whose runs may differ only in their seed."""
    cell = [
        (run, 100 * record["miou"])
        for run, record in zip(runs, records, strict=True)
        if name_of(run) == name and run.annotation == annotation and record["miou"] is not None
    ]
    for run, _ in cell[1:]:
        first, other = cell[0][0].info.config.to_dict(), run.info.config.to_dict()
        if differ := [key for key in {**first, **other} if key not in _MAY_DIFFER and first.get(key) != other.get(key)]:
            raise TrainingError(
                f"{cell[0][0].folder} and {run.folder} are both '{name}' with {annotation}, but differ in "
                f"{', '.join(differ)}; only runs that differ in nothing but their seed are averaged. Omit one of them."
            )
    # Rows of a study with the same first stage share it; each has a copy.
    scores = {(run.info.config.seed, run.info.manifest_sha256, score): score for run, score in cell}
    return Scores(tuple(scores.values())) if cell else None


def _budget_order(annotation: tuple[str, str]) -> tuple[bool, int, str]:
    words, called = annotation
    return not called.isdigit(), int(called) if called.isdigit() else 0, words


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _difference(ours: float | None, theirs: float | None) -> Difference | None:
    return None if ours is None or theirs is None else Difference(ours, theirs)
