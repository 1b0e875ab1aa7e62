"""Several runs side by side: read together, and the scores by which they can be compared."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agmm.config.protocol import PROTOCOLS
from agmm.errors import TrainingError
from agmm.report.problems import OnProblem, each_that_can
from agmm.report.run import Run, read_run
from agmm.report.run_names import default_names, folder_names
from agmm.runs.files import require_checkpoint
from agmm.runs.scores import MIXTURE_PROTOCOL
from data_manifests import DataError, read_manifest
from data_manifests.files.paths import as_path


def read_runs(paths: Sequence[str | Path], names: Sequence[str] = (), on_problem: OnProblem = None) -> list[Run]:
    """Read runs to be shown side by side.

    Args:
        paths: Folders of trainings, or weights files in them.
        names: What to call them, one for each; by default what ``default_names`` says.
        on_problem: Told of folders that hold no training or a damaged one, which are left out, and of damaged scores.
            If not given, they are errors.

    Raises:
        TrainingError: If one is no training, is given twice, or has other classes than the first; always if there is
            no such path, or no training at all.
        ValueError: If there are not as many names as runs, or one is empty or given twice.
    """
    if names and len(names) != len(paths):
        raise ValueError(f"Give a name for each of the {len(paths)} runs, in their order; got {len(names)}.")
    if (wrong := next((name for name in names if names.count(name) > 1 or not name.strip()), None)) is not None:
        raise ValueError(f"Each name must tell its run from the others, got '{wrong}'.")
    given = [as_path(path) for path in paths]
    for path in given:
        if not path.exists():
            require_checkpoint(path)
    told: set[str] = set()

    def tell(text: str) -> None:
        if on_problem is not None and text not in told:  # an earlier stage comes once for each run that began with it
            told.add(text)
            on_problem(text)

    teller = None if on_problem is None else tell
    named = list(zip(given, folder_names([path if path.is_dir() else path.parent for path in given]), strict=True))
    found = each_that_can(named, lambda path_and_name: read_run(*path_and_name, teller), teller)
    runs = list(found.values())
    for run in runs[1:]:
        run.info.require_classes(runs[0].label_space, runs[0].folder)
    called = [names[number] for number in found] if names else default_names(runs)
    return [replace(run, name=name) for run, name in zip(runs, called, strict=True)]


@dataclass(frozen=True)
class ChosenScores:
    """Scores of runs that can be compared: of the same images, segmented in the same way.

    Args:
        records: A record for each run, as ``agmm.runs.scores`` describes it; None for runs without such scores.
        missing: For each run without, a sentence that names the command which makes them, if any can.
    """

    records: tuple[dict[str, Any] | None, ...]
    missing: tuple[str, ...]

    @property
    def first(self) -> dict[str, Any] | None:
        """Any of the records, to say what was measured; None where no run has scores."""
        return next((record for record in self.records if record is not None), None)


def choose_scores(runs: Sequence[Run], split: str, protocol: str | None = None) -> ChosenScores:
    """The scores that most of the runs have of the same images, segmented in the same way.

    Of several, those of the most images, as a quick look at a few (``--limit``) is no score of the split; then the
    newest.

    Args:
        runs: At least one.
        split: Of the images.
        protocol: Start of the protocol's name, such as ``multi-scale``; any if not given.
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
                advice = f"Make them with: {_scoring_command(run, split, protocol, like)}"
            missing.append(f"{run.folder}: has no scores of split '{split}'{what}. {advice}")
    return ChosenScores(records, tuple(missing))


def scored_split(runs: Sequence[Run]) -> str:
    """The split whose scores to show unless a user says otherwise: that on which most runs are scored, else ``val``."""
    scored = [split for run in runs for split in {record["split"] for record in run.records}]
    return max(sorted(set(scored)), key=lambda split: (scored.count(split), split == "val"), default="val")


def choose_records(runs: Sequence[Run], split: str, protocol: str | None = None) -> list[dict[str, Any]]:
    """The scores that all runs have of the same images, segmented in the same way; chosen as by ``choose_scores``.

    Arguments are those of ``choose_scores``.

    Returns:
        A record for each run.

    Raises:
        TrainingError: If a run has none; names the command that makes them.
    """
    chosen = choose_scores(runs, split, protocol)
    if chosen.missing:
        others = len(chosen.missing) - 1
        more = f" ({others} more run{'s' if others > 1 else ''} likewise)" if others else ""
        raise TrainingError(chosen.missing[0] + more)
    return [record for record in chosen.records if record is not None]


def describe_scores(record: dict[str, Any]) -> str:
    """What a record's scores were measured on, and how."""
    images = f"{record['num_images']} image{'' if record['num_images'] == 1 else 's'}"
    return f"{record['dataset'] or 'data'}, {record['split']} split, {images}; {record['protocol']}"


def _scoring_command(run: Run, split: str, protocol: str | None, like: tuple[Run, dict[str, Any]] | None) -> str:
    """The command that scores a run, in the way in which another one was scored."""
    if like is None:
        return _command_line(run, run.manifest_path, split, ["--protocol", protocol] if protocol else [])
    other, record = like
    options = _protocol_options(record["protocol"])
    try:
        manifest = read_manifest(Path(os.path.normpath(other.folder / record["manifest"])))
        if len(manifest.rows_of(split)) > record["num_images"]:
            options += ["--limit", str(record["num_images"])]
        return _command_line(run, manifest.path, split, options)
    except DataError:  # moved since; the run's own is the best guess
        return _command_line(run, run.manifest_path, split, options)


def _has_no_full_masks(manifest_path: Path, split: str) -> bool:
    try:
        rows = read_manifest(manifest_path).rows_of(split)
    except DataError:  # moved since, or another split was asked for
        return False
    return not any(row.full_mask for row in rows)


def _command_line(run: Run, manifest_path: Path, split: str, options: Sequence[str]) -> str:
    return shlex.join(["agmm", "evaluate", str(run.folder), str(manifest_path), "--split", split, *options])


def _protocol_options(protocol: str) -> list[str]:
    """Options of `agmm evaluate` for a protocol given in words, as ``agmm.inference.protocols.Protocol`` words it."""
    name = next((name for name in PROTOCOLS if protocol.startswith(name)), "whole")
    options = [] if name == "whole" else ["--protocol", name]
    if tiles := re.search(r"tile (\d+), overlap ([\d.]+)", protocol):
        options += ["--tile", tiles[1], *([] if tiles[2] == "0.67" else ["--overlap", tiles[2]])]
    return [*options, *(["--crf"] if protocol.endswith("dense CRF") else [])]


#: Where the keys of ``_scores`` have the number of images.
_NUM_IMAGES = 2


def _scores(run: Run, split: str, protocol: str | None) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {
        (record["dataset"], record["protocol"], record["num_images"], record.get("images_sha256")): record
        for record in run.records
        if record["split"] == split
        and record["protocol"] != MIXTURE_PROTOCOL
        and record["protocol"].startswith(protocol or "")
    }
