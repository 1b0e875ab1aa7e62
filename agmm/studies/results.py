"""Results of a study: the scores of its runs as a table, and the report that compares its rows."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from agmm.config.metrics import METRICS
from agmm.config.training import TrainConfig
from agmm.errors import TrainingError
from agmm.studies.study import LABELS_AS_PUBLISHED, Study, published_as
from agmm.training.regime import resolve_loss
from data_manifests import Manifest
from data_manifests.files.atomic import write_atomically
from data_manifests.files.csv import read_text_cell, read_whole_table, text_cell
from data_manifests.files.paths import without_links
from data_manifests.manifest.words import annotation_words

RESULTS_NAME = "results.csv"
REPORT_NAME = "report.md"

#: Smallest gap, in points of mIoU, of which shares are shown.
_LEAST_GAP = 0.1

_COLUMNS = (
    "annotation", "setting", "stages", "seed", "split", "protocol", *METRICS, "best_epoch", "run", "settings_sha256",
)  # fmt: skip


def annotation_names(manifests: Sequence[Manifest]) -> list[str]:
    """A unique name for each manifest: its clicks per image or ``scribbles`` if no other shares it, else its folder.

    Raises:
        ValueError: If two manifests are the same, or their folders have the same name.
    """
    paths = [without_links(manifest.path) for manifest in manifests]
    if again := [path for path in paths if paths.count(path) > 1]:
        raise ValueError(f"The manifest {again[0]} is given twice; give it once.")
    kinds = [_kind(manifest) for manifest in manifests]
    names = [
        kind if kind and kinds.count(kind) == 1 else manifest.name
        for kind, manifest in zip(kinds, manifests, strict=True)
    ]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"Two manifests are in folders named '{twice[0]}'; rename one, because results use this name.")
    return names


def _kind(manifest: Manifest) -> str:
    clicks = manifest.info.settings.get("clicks_per_image")
    if isinstance(clicks, int):
        return f"{clicks} clicks"
    return "scribbles" if manifest.info.command == "scribbles" else ""


def annotation_titles(words: Mapping[str, str]) -> dict[str, str]:
    """Annotations in words by their names; names where there are no words, or where words do not tell them apart."""
    texts = list(words.values())
    return {name: text if text and texts.count(text) == 1 else name for name, text in words.items()}


def _titles(manifests: Sequence[Manifest]) -> dict[str, str]:
    """The titles of manifests by their names, for the heads of columns."""
    words = [annotation_words(manifest.info) for manifest in manifests]
    return annotation_titles(dict(zip(annotation_names(manifests), words, strict=True)))


def read_results(path: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    """Rows of a ``results.csv``, keyed by annotation, setting and seed; empty if there is no file.

    Raises:
        TrainingError: If it is not the results of a study, a score is outside [0, 1], or a run has two lines.
    """
    if not path.exists():
        return {}
    try:
        header, rows = read_whole_table(path)
    except ValueError as error:
        raise TrainingError(f"{path}: not the results of a study ({error}). Choose another --out.") from error
    if set(header or _COLUMNS) != set(_COLUMNS):
        raise TrainingError(f"{path}: expected the columns {', '.join(_COLUMNS)}. Choose another --out.")
    result: dict[tuple[str, str, str], dict[str, str]] = {}
    for cells in rows:
        row = {name: read_text_cell(cell) for name, cell in cells.items()}
        of_run = f"{row['setting']} on {row['annotation']}, seed {row['seed']}"
        for name in METRICS:
            if not _is_share(row[name]):
                raise TrainingError(
                    f"{path}: the {name} of {of_run} is '{row[name]}'; expected a number in [0, 1]. Delete the line "
                    "to score the run again."
                )
        key = row["annotation"], row["setting"], row["seed"]
        if key in result:
            raise TrainingError(f"{path}: has two lines for {of_run}. Delete the wrong one, or both to score it again.")
        result[key] = row
    return result


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def write_results(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write ``results.csv``."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: text_cell(cell) for name, cell in row.items()} for row in rows)
    write_atomically(path, text.getvalue().encode())


def format_report(
    study: Study, manifests: Sequence[Manifest], rows: Sequence[dict[str, str]], base: TrainConfig
) -> str:
    """Markdown report: mean and spread of mIoU over the seeds beside the published numbers, and all settings."""
    titles = _titles(manifests)
    columns = list(zip(titles, manifests, strict=True))
    published = {name: _published(study, manifest, rows) for name, manifest in columns}
    header = ["setting"]
    for name, _ in columns:
        header.append(titles[name])
        if published[name]:
            header.append(f"published, {study.published_in}")
    lines = [f"# {study.title}", "", _scored(rows), "", _line(header), _line(["---"] * len(header))]
    for setting in study.settings:
        cells = [setting.name]
        for name, _ in columns:
            scores = [100 * float(r["miou"]) for r in rows if (r["annotation"], r["setting"]) == (name, setting.name)]
            cells.append(format_scores(scores))
            if published[name]:
                cells.append(str(published[name].get(setting.name, "")))
        lines.append(_line(cells))
    if study.baseline:
        lines += _compare(study, titles, rows)
    if len(header) > 1 + len(columns):
        lines += [
            "",
            f"Published: Wu et al., CVPR 2023, supplement, on {study.published_in} val; very likely multi-scale.",
        ]
        if any(setting.stages > 1 and not setting.published for setting in study.settings):
            lines += ["", LABELS_AS_PUBLISHED]
    if any(setting.stages > 1 for setting in study.settings):
        lines += ["", "MT: multi-stage training."]
    lines += ["", "Changes in each row:", "", _line(["setting", "changes"]), _line(["---", "---"])]
    lines += [_line([setting.name, setting.changes_in_words or "nothing"]) for setting in study.settings]
    lines += _chosen_losses(study, manifests, base)
    shared = "".join(line for line in base.to_toml().splitlines(keepends=True) if not line.startswith("seed ="))
    lines += ["", "Settings shared by all rows, apart from these changes and the seed:", ""]
    lines += ["```toml", shared + "```", ""]
    return "\n".join(lines)


def _chosen_losses(study: Study, manifests: Sequence[Manifest], base: TrainConfig) -> list[str]:
    """A line that names the loss which ``auto`` has become on each annotation; none without ``auto``."""
    chosen = []
    for title, manifest in zip(_titles(manifests).values(), manifests, strict=True):
        configs = [setting.apply(base, seed=0) for setting in study.settings if setting.trains_on(manifest)]
        kinds = {resolve_loss(manifest, config).loss_kind for config in configs if config.loss_kind == "auto"}
        if kinds:
            chosen.append(f"{' or '.join(sorted(kinds))} on {title}")
    return ["", f"loss_kind auto is {', '.join(chosen)}."] if chosen else []


def _published(study: Study, manifest: Manifest, rows: Sequence[dict[str, str]]) -> dict[str, float]:
    """The published mIoU of each setting in per cent; empty unless the rows score the same images."""
    num_images = sum(manifest.splits.get(split, 0) for split in {row["split"] for row in rows})
    if not study.is_published_for(manifest.label_space, num_images):
        return {}
    called = published_as(manifest)
    return {setting.name: setting.published[called] for setting in study.settings if called in setting.published}


def _compare(study: Study, titles: Mapping[str, str], rows: Sequence[dict[str, str]]) -> list[str]:
    """Tables of each row's gain over the baseline, and of the share of the gap to the ceiling that it closes."""
    scores = {(r["annotation"], r["setting"], r["seed"]): 100 * float(r["miou"]) for r in rows}
    # The ceiling does not depend on the annotation, so one manifest suffices.
    top = [score for (_, setting, _), score in scores.items() if setting == study.ceiling]
    compared = [s.name for s in study.settings if s.name not in (study.baseline, study.ceiling)]
    gains: dict[str, list[str]] = {name: [name] for name in compared}
    shares: dict[str, list[str]] = {name: [name] for name in compared}
    for annotation in titles:
        base = {seed: v for (a, setting, seed), v in scores.items() if (a, setting) == (annotation, study.baseline)}
        gap = statistics.mean(top) - statistics.mean(base.values()) if top and base else 0.0
        for name in compared:
            of_row = {seed: v for (a, setting, seed), v in scores.items() if (a, setting) == (annotation, name)}
            paired = [of_row[seed] - base[seed] for seed in of_row if seed in base]
            gains[name].append(gain := format_gain(paired))
            # A share of next to nothing says nothing.
            share = f"{100 * statistics.mean(paired) / gap:z.0f}" if paired and gap >= _LEAST_GAP else ""
            shares[name].append(f"({share})" if share and gain.startswith("(") else share)
    head = [_line(["setting", *titles.values()]), _line(["---"] * (1 + len(titles)))]
    lines = [
        "",
        f"Gain over {study.baseline} in points of mIoU, paired by seed; in brackets with fewer than three seeds, or if "
        "no larger than its standard deviation:",
        "",
        *head,
        *(_line(gains[name]) for name in compared),
    ]
    if top:
        lines += [
            "",
            f"Share of the gap between {study.baseline} and {study.ceiling} that is closed, in %; in brackets where "
            "the gain is:",
            "",
            *head,
        ]
        lines += [_line(shares[name]) for name in compared]
    return lines


def format_gain(differences: Sequence[float]) -> str:
    """Mean and standard deviation of differences; in brackets with fewer than three, or a mean within the spread.

    Example:
        >>> format_gain([2.0, 3.0, 2.5]), format_gain([-1.0, 2.0, 0.5]), format_gain([1.25]), format_gain([])
        ('+2.5 ± 0.5', '(+0.5 ± 1.5)', '(+1.2)', '')
    """
    if not differences:
        return ""
    mean = statistics.mean(differences)
    if len(differences) == 1:
        return f"({mean:+z.1f})"
    spread = statistics.stdev(differences)
    text = f"{mean:+z.1f} ± {spread:.1f}"
    return text if abs(mean) > spread and len(differences) >= 3 else f"({text})"


def format_scores(scores: Sequence[float]) -> str:
    """Mean and, with several seeds, standard deviation and number of seeds.

    Example:
        >>> format_scores([61.0, 62.0, 63.0]), format_scores([61.04]), format_scores([])
        ('62.0 ± 1.0 (3)', '61.0', '')
    """
    if len(scores) < 2:
        return "".join(f"{score:.1f}" for score in scores)
    return f"{statistics.mean(scores):.1f} ± {statistics.stdev(scores):.1f} ({len(scores)})"


def _scored(rows: Sequence[dict[str, str]]) -> str:
    how = sorted({f"{row['split']} split, {row['protocol']}" for row in rows})
    return f"mIoU in %, mean ± standard deviation (number of seeds); {'; '.join(how)}."


def _line(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"
