"""What figures, tables and the page know of a training, read from its folder without its network."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agmm.checkpoint import CheckpointInfo, read_checkpoint_info, weights_path
from agmm.errors import TrainingError
from agmm.evaluate import MIXTURE_PROTOCOL
from agmm.evaluation_files import read_records
from agmm.inference import PROTOCOL_NAMES
from agmm.losses import LossOptions, resolve_options
from agmm.run_folder import LOG_NAME, RUN_NAME
from agmm.studies import published_as
from data_manifests import DataError, LabelSpace, Manifest, ManifestInfo, read_manifest
from data_manifests.schema import PSEUDO_LABELS


@dataclass(frozen=True)
class Run:
    """A training.

    Args:
        name: What tells it from the other runs.
        folder: Its folder.
        info: Settings and classes.
        about: What ``run.json`` says: annotation, hardware, versions, how to run it again.
        epochs: The lines of ``log.csv``: numbers by column, without empty cells.
        records: Scores of its weights that ``agmm evaluate`` left, oldest first.
        before: In multi-stage training, the run whose pseudo-labels it was trained on; None where it is not there.
    """

    name: str
    folder: Path
    info: CheckpointInfo
    about: dict[str, Any]
    epochs: tuple[dict[str, float], ...]
    records: tuple[dict[str, Any], ...]
    before: Run | None = None

    @property
    def label_space(self) -> LabelSpace:
        """Classes of the network."""
        return self.info.label_space

    @property
    def options(self) -> LossOptions:
        """Options of its loss."""
        return resolve_options(self.info.config.preset, **self.info.config.loss)

    @property
    def uses_mixture(self) -> bool:
        """Whether the mixture takes part in its loss; a run without is a baseline."""
        options = self.options
        return self.info.config.lambda_ > 0 and (options.use_self or options.use_spar or options.use_con)

    @property
    def is_full(self) -> bool:
        """Whether it was trained on full masks."""
        return self.info.config.supervision == "full"

    @property
    def is_later_stage(self) -> bool:
        """Whether it was trained on the pseudo-labels of another network (multi-stage training)."""
        return bool(self.about.get("annotation", {}).get("command") == PSEUDO_LABELS)

    @property
    def manifest_path(self) -> Path:
        """The manifest it was trained on."""
        return Path(os.path.normpath(self.folder / self.about["manifest"]))

    @property
    def first_stage(self) -> Run:
        """In multi-stage training the run that all began with, as far as it is there; else the run itself."""
        return self if self.before is None else self.before.first_stage

    @property
    def published_as(self) -> str:
        """What the supplement calls the annotation that people made; empty for none of those."""
        return "" if self.is_full else published_as(Manifest(self.manifest_path, (), self._annotation))

    @property
    def annotation(self) -> str:
        """What people annotated for it, in words."""
        if self.is_full:
            return "full masks"
        if (clicks := self._annotation.settings.get("clicks_per_image")) is not None:
            return f"{clicks} clicks"
        return self._annotation.command or self.manifest_path.parent.name

    @property
    def loss(self) -> str:
        """The terms of its loss, in words, as the supplement's table 2 calls them."""
        if self.is_later_stage:
            return "pseudo-labels, MT" if self.before is None else f"{self.first_stage.loss}, MT"
        terms = [("L_self", self.options.use_self), ("L_spar", self.options.use_spar), ("L_con", self.options.use_con)]
        used = [name for name, is_used in terms if is_used and self.info.config.lambda_ > 0]
        return " + ".join(["L_seg", *used])

    @property
    def seconds(self) -> float:
        """Time of all epochs, validation included."""
        return sum(epoch.get("seconds", 0.0) for epoch in self.epochs)

    @property
    def _annotation(self) -> ManifestInfo:
        made = self.about.get("annotation", {})
        settings = made.get("settings", {})
        if self.is_later_stage and self.before is None:
            made = {"command": settings.get("source_command", ""), "settings": settings.get("source_settings", {})}
        elif self.before is not None:
            made = self.first_stage.about["annotation"]
        return ManifestInfo(self.label_space, command=made.get("command", ""), settings=made.get("settings", {}))

    def curve(self, column: str) -> list[tuple[int, float]]:
        """Epochs and values of a column of the log, where it has a value."""
        return [(int(epoch["epoch"]), epoch[column]) for epoch in self.epochs if column in epoch]


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Read runs to be shown side by side.

    Args:
        paths: Folders of trainings, or weights files in them.

    Raises:
        TrainingError: If one is no training, is given twice, or has other classes than the first.
    """
    folders = [path if path.is_dir() else path.parent for path in paths]
    runs = [_read(folder, path, name) for folder, path, name in zip(folders, paths, run_names(folders), strict=True)]
    for run in runs[1:]:
        run.info.require_classes(runs[0].label_space, runs[0].folder)
    return runs


def run_names(folders: Sequence[Path]) -> list[str]:
    """The shortest parts of the paths, from one depth on, that tell runs apart.

    Raises:
        TrainingError: If a run is given twice.

    Example:
        >>> run_names([Path("runs/a"), Path("runs/b")]), run_names([Path("a/seed-0"), Path("b/seed-0")])
        (['a', 'b'], ['a/seed-0', 'b/seed-0'])
    """
    parts = [Path(os.path.abspath(folder)).parts for folder in folders]
    if twice := next((folder for folder, p in zip(folders, parts, strict=True) if parts.count(p) > 1), None):
        raise TrainingError(f"{twice}: is given twice.")
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-depth:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    raise TrainingError("Give at least one run.")


@dataclass(frozen=True)
class ChosenScores:
    """Scores of runs that can be compared: of the same pictures, segmented in the same way.

    Args:
        records: A record for each run, as ``agmm.evaluation_files`` describes it; None for runs without such scores.
        missing: For each run without, a sentence that names the command which makes them.
    """

    records: tuple[dict[str, Any] | None, ...]
    missing: tuple[str, ...]

    @property
    def first(self) -> dict[str, Any] | None:
        """Any of the records, to say what was measured; None where no run has scores."""
        return next((record for record in self.records if record is not None), None)


def choose_scores(runs: Sequence[Run], split: str, protocol: str | None = None) -> ChosenScores:
    """The scores that most of the runs have of the same pictures, segmented in the same way; the newest of several.

    Args:
        runs: At least one.
        split: Of the pictures.
        protocol: Start of the protocol's name, such as ``multi-scale``; any if not given.
    """
    by_key = [_scores(run, split, protocol) for run in runs]
    keys = dict.fromkeys(key for scores in by_key for key in reversed(scores))
    chosen = max(keys, key=lambda key: sum(key in scores for scores in by_key), default=None)
    records = tuple(None if chosen is None else scores.get(chosen) for scores in by_key)
    like = next(((run, record) for run, record in zip(runs, records, strict=True) if record is not None), None)
    missing = []
    for run, record in zip(runs, records, strict=True):
        if record is None:
            what = f" by protocol {protocol}" if protocol else ""
            what += "" if like is None else f" like those of {like[0].name}"
            command = _scoring_command(run, split, protocol, like)
            missing.append(f"{run.folder}: has no scores of split '{split}'{what}. Make them with: {command}")
    return ChosenScores(records, tuple(missing))


def choose_records(runs: Sequence[Run], split: str, protocol: str | None = None) -> list[dict[str, Any]]:
    """The newest scores that all runs have of the same pictures, segmented in the same way.

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


def _command_line(run: Run, manifest_path: Path, split: str, options: Sequence[str]) -> str:
    return shlex.join(["agmm", "evaluate", str(run.folder), str(manifest_path), "--split", split, *options])


def _protocol_options(protocol: str) -> list[str]:
    """Options of `agmm evaluate` for a protocol given in words, as ``agmm.inference.Protocol`` words it."""
    name = next((name for name in PROTOCOL_NAMES if protocol.startswith(name)), "whole")
    options = [] if name == "whole" else ["--protocol", name]
    if tiles := re.search(r"tile (\d+), overlap ([\d.]+)", protocol):
        options += ["--tile", tiles[1], *([] if tiles[2] == "0.67" else ["--overlap", tiles[2]])]
    return [*options, *(["--crf"] if protocol.endswith("dense CRF") else [])]


def _scores(run: Run, split: str, protocol: str | None) -> dict[tuple[str, str, int], dict[str, Any]]:
    return {
        (record["dataset"], record["protocol"], record["num_images"]): record
        for record in run.records
        if record["split"] == split
        and record["protocol"] != MIXTURE_PROTOCOL
        and record["protocol"].startswith(protocol or "")
    }


def _read(folder: Path, path: Path, name: str) -> Run:
    info = read_checkpoint_info(weights_path(path))
    try:
        about = json.loads((folder / RUN_NAME).read_bytes())
        about["manifest"], about["run_again"], about["device"], about["versions"]
        with (folder / LOG_NAME).open(newline="", encoding="utf-8") as file:
            epochs = tuple({k: float(v) for k, v in line.items() if v} for line in csv.DictReader(file))
    except FileNotFoundError as error:
        raise TrainingError(
            f"{error.filename}: no such file; expected the folder of a training by `agmm train`."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"{folder}: {RUN_NAME} or {LOG_NAME} is damaged ({error!r}).") from error
    # A training that went on has other weights than those that were scored before.
    records = tuple(
        record for record in read_records(folder) if record.get("epoch", info.best_epoch) == info.best_epoch
    )
    return Run(name, folder, info, about, epochs, records, _read_before(folder, about))


def _read_before(folder: Path, about: dict[str, Any]) -> Run | None:
    made = about.get("annotation", {})
    if made.get("command") != PSEUDO_LABELS:
        return None
    labels_dir = Path(os.path.normpath(folder / about["manifest"])).parent
    weights = Path(os.path.normpath(labels_dir / made["settings"]["checkpoint"]))
    return _read(weights.parent, weights, weights.parent.name) if weights.is_file() else None
