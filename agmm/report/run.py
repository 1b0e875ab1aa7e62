"""A run for figures, tables and the page, read from its folder without loading the network."""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agmm.config.loss import LOSSES
from agmm.config.terms import MIXTURE_TERMS
from agmm.errors import TrainingError
from agmm.report.problems import OnProblem
from agmm.runs.checkpoint_info import CheckpointInfo, read_checkpoint_info
from agmm.runs.files import LOG_NAME, RUN_NAME, weights_path
from agmm.runs.scores import JSON_NAME, read_records
from agmm.studies.study import published_as
from data_manifests import LabelSpace, Manifest, ManifestInfo
from data_manifests.files.csv import read_whole_table
from data_manifests.files.text import read_json
from data_manifests.manifest.schema import GROWN, PSEUDO_LABELS
from data_manifests.manifest.words import annotation_words

if TYPE_CHECKING:
    from agmm.config.loss import MixtureOptions

#: Settings that do not affect the network: where it was trained, and what was monitored.
SILENT_SETTINGS = ("device", "workers", "amp", "compile", "gmm_images", "log")

#: Names for supervision other than sparse annotations by people.
FULL_MASKS = "full masks"

#: AGMM with all its terms, in words.
ALL_TERMS = "L_seg + L_self + L_spar + L_con"

#: Prefix of the settings of pseudo-labels.
LABELS_PREFIX = "pseudo-labels "


@dataclass(frozen=True)
class Run:
    """A run.

    Args:
        name: Its name in figures, tables and the page.
        folder: Its folder.
        info: Settings and classes.
        about: Contents of ``run.json``: annotation, hardware, versions, how to repeat it.
        epochs: Lines of ``log.csv``: numbers by column, without empty cells.
        records: Scores of its weights by ``agmm evaluate``, oldest first.
        before: In multi-stage training, the run whose pseudo-labels it was trained on, without its scores; None if it
            does not exist.
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
    def options(self) -> MixtureOptions:
        """Options of its mixture."""
        return self.info.config.mixture()

    @property
    def uses_mixture(self) -> bool:
        """Whether its loss uses the mixture; runs without it are baselines."""
        if self.info.config.loss_kind == "agmm":
            return bool(self._terms)
        return not set(MIXTURE_TERMS).isdisjoint(self._kinds)

    @property
    def lambda_(self) -> float | None:
        """Weight of the mixture terms; None for other losses than AGMM, and without these terms."""
        config = self.info.config
        return config.lambda_ if config.loss_kind == "agmm" and self.uses_mixture else None

    @property
    def is_full(self) -> bool:
        """Whether it was trained on full masks."""
        return self.info.config.supervision == "full"

    @property
    def is_later_stage(self) -> bool:
        """Whether it was trained on the pseudo-labels of another network (multi-stage training)."""
        return bool(self.about["annotation"]["command"] == PSEUDO_LABELS)

    @property
    def manifest_path(self) -> Path:
        """The manifest it was trained on."""
        return Path(os.path.normpath(self.folder / self.about["manifest"]))

    @property
    def first_stage(self) -> Run:
        """In multi-stage training, the earliest run that still exists; otherwise the run itself."""
        return self if self.before is None else self.before.first_stage

    @property
    def published_as(self) -> str:
        """Name of the human annotation in the supplement; empty if it has none."""
        return "" if self.is_full else published_as(Manifest(self.manifest_path, (), self._annotation))

    @property
    def annotation(self) -> str:
        """The human annotation in words."""
        if self.is_full:
            return FULL_MASKS
        return annotation_words(self._annotation) or self.manifest_path.parent.name

    @property
    def grown_by(self) -> str:
        """The method that grew the human annotation before training; empty if it was not grown."""
        if self.is_full or self._annotation.command != GROWN:
            return ""
        return str(self._annotation.settings.get("method", ""))

    @property
    def loss(self) -> str:
        """The terms of its loss, named as in the supplement's table 2."""
        if self.is_later_stage:
            return "pseudo-labels, MT" if self.before is None else f"{self.first_stage.loss}, MT"
        return " + ".join(["L_seg", *self._terms])

    @property
    def method(self) -> str:
        """A short name of the loss: ``AGMM`` if all terms are used."""
        return self.loss.replace(ALL_TERMS, "AGMM")

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that determine the network, by name, except the terms of the loss and the annotation.

        In multi-stage training, these are the settings of the first stage and of the pseudo-labels. Disabled options of
        the loss are omitted, so that they equal options that were never given.
        """
        first = self.first_stage
        own = {key: value for key, value in first.info.config.to_dict().items() if key not in SILENT_SETTINGS}
        loss = {key: value for key, value in own.pop("loss").items() if value and not key.startswith("use_")}
        del own["supervision"], own["loss_kind"]
        if first.lambda_ is None:
            own = {key: value for key, value in own.items() if key not in ("lambda", "lambda_ramp")}
            if first.info.config.loss_kind == "agmm":
                loss = {key: value for key, value in loss.items() if key == "absence_weight"}
            else:
                del own["preset"]
        made = self.about["annotation"]["settings"] if self.is_later_stage else {}
        between = {"pseudo_classes": "labelled", "soft": False, "threshold": 0.0, "protocol": ""} if made else {}
        return own | loss | {f"{LABELS_PREFIX}{key}": made.get(key, value) for key, value in between.items()}

    @property
    def last_epoch(self) -> int:
        """The last epoch trained; the weights are those of the best one."""
        return max((int(epoch["epoch"]) for epoch in self.epochs), default=self.info.epoch)

    @property
    def seconds(self) -> float:
        """Duration of all epochs, including validation."""
        return sum(epoch.get("seconds", 0.0) for epoch in self.epochs)

    @property
    def _terms(self) -> list[str]:
        """The terms of its loss beside the cross-entropy; for AGMM all three, unless settings disable some."""
        config = self.info.config
        if config.loss_kind != "agmm":
            return [title for kind in self._kinds if (title := LOSSES[kind].title)]
        names = ("self", "spar", "con") if config.lambda_ > 0 else ()
        return [f"L_{name}" for name in names if config.loss.get(f"use_{name}", True)]

    @property
    def _kinds(self) -> Collection[str]:
        """The loss, or the terms of a combined one, by name."""
        config = self.info.config
        return config.loss if config.loss_kind == "combined" else (config.loss_kind,)

    @property
    def _annotation(self) -> ManifestInfo:
        made = self.about["annotation"]
        settings = made["settings"]
        if self.is_later_stage and self.before is None:
            made = {"command": settings.get("source_command", ""), "settings": settings.get("source_settings", {})}
        elif self.before is not None:
            made = self.first_stage.about["annotation"]
        return ManifestInfo(self.label_space, command=made.get("command", ""), settings=made.get("settings", {}))

    def curve(self, column: str) -> list[tuple[int, float]]:
        """Epochs and values of a column of the log, without empty cells."""
        return [(int(epoch["epoch"]), epoch[column]) for epoch in self.epochs if column in epoch]


def read_run(path: Path, name: str, on_problem: OnProblem = None) -> Run:
    """Read a run.

    Args:
        path: A run folder, or a weights file in it.
        name: Name of the run.
        on_problem: Called with a message if scores or an earlier stage cannot be read; the run then lacks them. By
            default this is an error.

    Raises:
        TrainingError: If the path is not a run, or one of its files is damaged.
    """
    run = _read_training(path, name, on_problem)
    try:
        return replace(run, records=_read_scores(run.folder, run.info))
    except TrainingError as error:
        if on_problem is None:
            raise
        on_problem(str(error))
        return run


def _read_training(path: Path, name: str, on_problem: OnProblem) -> Run:
    """Read a run without its scores."""
    folder = path if path.is_dir() else path.parent
    info = read_checkpoint_info(weights_path(path))
    try:
        about = _read_about(folder / RUN_NAME)
        epochs = _read_epochs(folder / LOG_NAME)
    except FileNotFoundError as error:
        raise TrainingError(f"{error.filename}: no such file; expected a run folder of `agmm train`.") from error
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise TrainingError(f"{folder}: {RUN_NAME} or {LOG_NAME} is damaged ({error!r}).") from error
    held = {"manifest_sha256": info.manifest_sha256, "seed": info.config.seed}
    if other := [key for key, value in held.items() if about.get(key, value) != value]:
        raise TrainingError(
            f"{folder}: its weights and its {RUN_NAME} are of different runs ({other[0]} differs). Copy a run's whole "
            "folder, not single files."
        )
    return Run(name, folder, info, about, epochs, (), _read_before(folder, about, on_problem))


def _read_about(path: Path) -> dict[str, Any]:
    """Read the file that ``agmm.runs.folder.describe_run`` writes."""
    about: dict[str, Any] = read_json(path)
    made, settings = about["annotation"], about["annotation"]["settings"]
    held = [about[name] for name in ("manifest", "run_again", "device", "versions", "num_ranks")]
    held, kinds = [*held, made["command"], settings], [str, str, str, dict, int, str, dict]
    if made["command"] == PSEUDO_LABELS:
        held += [settings["checkpoint"], settings.get("source_command", ""), settings.get("source_settings", {})]
        kinds += [str, str, dict]
    for value, kind in zip(held, kinds, strict=True):
        if not isinstance(value, kind):
            raise TypeError(f"expected a {kind.__name__}, got {value!r}")
    return about


def _read_epochs(path: Path) -> tuple[dict[str, float], ...]:
    header, records = read_whole_table(path)
    lines = [{name: float(value) for name, value in record.items() if value} for record in records]
    if "epoch" not in header:
        raise KeyError("epoch")
    if wrong := [line["epoch"] for line in lines if line["epoch"] != int(line["epoch"])]:
        raise ValueError(f"epoch is {wrong[0]}")
    return tuple({name: value for name, value in line.items() if math.isfinite(value)} for line in lines)


def _read_scores(folder: Path, info: CheckpointInfo) -> tuple[dict[str, Any], ...]:
    records = read_records(folder)
    for record in records:
        if [c["name"] for c in record["classes"]] != list(info.label_space.class_names):
            raise TrainingError(
                f"{folder / JSON_NAME}: its scores have other classes than the network. Delete it and evaluate again."
            )
    # After a resumed run, the weights differ from those that were evaluated before.
    return tuple(record for record in records if record.get("epoch", info.best_epoch) == info.best_epoch)


def _read_before(folder: Path, about: dict[str, Any], on_problem: OnProblem) -> Run | None:
    made = about["annotation"]
    if made["command"] != PSEUDO_LABELS:
        return None
    labels_dir = Path(os.path.normpath(folder / about["manifest"])).parent
    weights = Path(os.path.normpath(labels_dir / made["settings"]["checkpoint"]))
    if not weights.is_file():
        return None
    try:
        return _read_training(weights, weights.parent.name, on_problem)
    except TrainingError as error:
        if on_problem is None:
            raise
        on_problem(str(error))
        return None
