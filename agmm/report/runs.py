"""Read several runs for a comparison, and choose their comparable scores."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agmm.config.protocol import PROTOCOLS
from agmm.errors import TrainingError
from agmm.report.problems import OnProblem, valid_results
from agmm.report.run import Run, read_run
from agmm.report.run_names import default_names, folder_names
from agmm.runs.files import require_checkpoint
from agmm.runs.scores import MIXTURE_PROTOCOL
from data_manifests import DataError, read_manifest
from data_manifests.files.paths import as_path
from data_manifests.terminal import shell_join


def read_runs(paths: Sequence[str | Path], names: Sequence[str] = (), on_problem: OnProblem = None) -> list[Run]:
    """Read runs for a comparison.

    Args:
        paths: Run folders, or weights files in them.
        names: Names of the runs, one each; by default ``default_names``.
        on_problem: Called with a message for folders without a valid run, which are then omitted, and for damaged
            scores. By default these are errors.

    Raises:
        TrainingError: If a folder is not a run, is given twice, or has other classes than the first. Missing paths, and
            no valid run at all, are always errors.
        ValueError: If the number of names differs from that of runs, or a name is empty or given twice.
    """
    if names and len(names) != len(paths):
        raise ValueError(f"Give a name for each of the {len(paths)} runs, in their order; got {len(names)}.")
    if (wrong := next((name for name in names if names.count(name) > 1 or not name.strip()), None)) is not None:
        raise ValueError(f"Names must be unique and not empty, got '{wrong}'.")
    given = [as_path(path) for path in paths]
    for path in given:
        if not path.exists():
            require_checkpoint(path)
    reported: set[str] = set()

    def report(text: str) -> None:
        if on_problem is not None and text not in reported:  # several runs may share an earlier stage
            reported.add(text)
            on_problem(text)

    reporter = None if on_problem is None else report
    named = list(zip(given, folder_names([path if path.is_dir() else path.parent for path in given]), strict=True))
    found = valid_results(named, lambda path_and_name: read_run(*path_and_name, reporter), reporter)
    runs = list(found.values())
    for run in runs[1:]:
        run.info.require_classes(runs[0].label_space, runs[0].folder)
    called = [names[number] for number in found] if names else default_names(runs)
    return [replace(run, name=name) for run, name in zip(runs, called, strict=True)]


@dataclass(frozen=True)
class ChosenScores:
    """Comparable scores of runs: of the same images with the same protocol.

    Args:
        records: A record for each run, in the format of ``agmm.runs.scores``; None for runs without such scores.
        missing: For each run without scores, a sentence with the command that computes them, if possible.
    """

    records: tuple[dict[str, Any] | None, ...]
    missing: tuple[str, ...]

    @property
    def first(self) -> dict[str, Any] | None:
        """The first record, to describe the scores; None if no run has scores."""
        return next((record for record in self.records if record is not None), None)


def choose_scores(runs: Sequence[Run], split: str, protocol: str | None = None) -> ChosenScores:
    """Choose the scores that most runs have of the same images with the same protocol.

    Ties go to the scores of the most images, because a quick look at a few (``--limit``) does not score the split, and
    then to the newest.

    Args:
        runs: At least one run.
        split: Split of the images.
        protocol: Prefix of the protocol's name, such as ``multi-scale``; by default any.
    """
    by_key = [_scores(run, split, protocol) for run in runs]
    keys = dict.fromkeys(key for scores in by_key for key in reversed(scores))
    chosen = max(keys, key=lambda key: (sum(key in scores for scores in by_key), key[_NUM_IMAGES]), default=None)
    records = tuple(None if chosen is None else scores.get(chosen) for scores in by_key)
    like = next(((run, record) for run, record in zip(runs, records, strict=True) if record is not None), None)
    missing = []
    for run, record in zip(runs, records, strict=True):
        if record is None:
            what = f" by protocol {protocol}" if protocol else ""
            what += "" if like is None else f" like those of {like[0].folder}"
            if like is None and _has_no_full_masks(run.manifest_path, split):
                advice = f"No image of it has a full mask to compare with, by {run.manifest_path}."
            else:
                advice = f"Compute them with: {_scoring_command(run, split, protocol, like)}"
            missing.append(f"{run.folder}: has no scores of split '{split}'{what}. {advice}")
    return ChosenScores(records, tuple(missing))


def scored_split(runs: Sequence[Run]) -> str:
    """Return the default split of scores: the one on which most runs were evaluated, or else ``val``."""
    scored = [split for run in runs for split in {record["split"] for record in run.records}]
    return max(sorted(set(scored)), key=lambda split: (scored.count(split), split == "val"), default="val")


def choose_records(runs: Sequence[Run], split: str, protocol: str | None = None) -> list[dict[str, Any]]:
    """Choose scores as ``choose_scores`` does, but require them of all runs.

    Arguments are those of ``choose_scores``.

    Returns:
        A record for each run.

    Raises:
        TrainingError: If a run has none; the message contains the command that computes them.
    """
    chosen = choose_scores(runs, split, protocol)
    if chosen.missing:
        others = len(chosen.missing) - 1
        more = f" ({others} more run{'s' if others > 1 else ''} without scores)" if others else ""
        raise TrainingError(chosen.missing[0] + more)
    return [record for record in chosen.records if record is not None]


def describe_scores(record: dict[str, Any]) -> str:
    """Describe the data and the protocol of a record's scores."""
    images = f"{record['num_images']} image{'' if record['num_images'] == 1 else 's'}"
    return f"{record['dataset'] or 'data'}, {record['split']} split, {images}; {record['protocol']}"


def _scoring_command(run: Run, split: str, protocol: str | None, like: tuple[Run, dict[str, Any]] | None) -> str:
    """Return the command that evaluates a run in the same way as another one."""
    if like is None:
        return _command_line(run, run.manifest_path, split, ["--protocol", protocol] if protocol else [])
    other, record = like
    options = _protocol_options(record["protocol"])
    try:
        manifest = read_manifest(Path(os.path.normpath(other.folder / record["manifest"])))
        if len(manifest.rows_of(split)) > record["num_images"]:
            options += ["--limit", str(record["num_images"])]
        return _command_line(run, manifest.path, split, options)
    except DataError:  # it has moved; the run's own manifest is the best guess
        return _command_line(run, run.manifest_path, split, options)


def _has_no_full_masks(manifest_path: Path, split: str) -> bool:
    try:
        rows = read_manifest(manifest_path).rows_of(split)
    except DataError:  # it has moved, or another split was requested
        return False
    return not any(row.full_mask for row in rows)


def _command_line(run: Run, manifest_path: Path, split: str, options: Sequence[str]) -> str:
    return shell_join("agmm", "evaluate", run.folder, manifest_path, "--split", split, *options)


def _protocol_options(protocol: str) -> list[str]:
    """Convert the description of an ``agmm.inference.protocols.Protocol`` to options of `agmm evaluate`."""
    name = next((name for name in PROTOCOLS if protocol.startswith(name)), "whole")
    options = [] if name == "whole" else ["--protocol", name]
    if tiles := re.search(r"tile (\d+), overlap ([\d.]+)", protocol):
        options += ["--tile", tiles[1], *([] if tiles[2] == "0.67" else ["--overlap", tiles[2]])]
    return [*options, *(["--crf"] if protocol.endswith("dense CRF") else [])]


#: Index of the number of images in the keys of ``_scores``.
_NUM_IMAGES = 2


def _scores(run: Run, split: str, protocol: str | None) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {
        (record["dataset"], record["protocol"], record["num_images"], record.get("images_sha256")): record
        for record in run.records
        if record["split"] == split
        and record["protocol"] != MIXTURE_PROTOCOL
        and record["protocol"].startswith(protocol or "")
    }
