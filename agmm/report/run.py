"""What figures, tables and the page know of a training, read from its folder without its network."""

from __future__ import annotations

import csv
import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agmm.config.loss import LOSSES
from agmm.errors import TrainingError
from agmm.report.problems import OnProblem
from agmm.runs.checkpoint_info import CheckpointInfo, read_checkpoint_info
from agmm.runs.files import LOG_NAME, RUN_NAME, weights_path
from agmm.runs.scores import JSON_NAME, read_records
from agmm.studies.study import published_as
from data_manifests import LabelSpace, Manifest, ManifestInfo
from data_manifests.manifest.schema import PSEUDO_LABELS

if TYPE_CHECKING:
    from agmm.config.loss import MixtureOptions

#: Settings that tell no network from another: where it was trained, and what was watched.
SILENT_SETTINGS = ("device", "workers", "amp", "compile", "gmm_images")

#: What a run learnt from that no person annotated sparsely, in words.
FULL_MASKS = "full masks"

#: Before the names of what was set for the pseudo-labels.
LABELS_PREFIX = "pseudo-labels "


@dataclass(frozen=True)
class Run:
    """A training.

    Args:
        name: What it is called in figures, tables and the page.
        folder: Its folder.
        info: Settings and classes.
        about: What ``run.json`` says: annotation, hardware, versions, how to run it again.
        epochs: The lines of ``log.csv``: numbers by column, without empty cells.
        records: Scores of its weights that ``agmm evaluate`` left, oldest first.
        before: In multi-stage training, the run whose pseudo-labels it was trained on, without its scores; None where
            it is not there.
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
        """How its mixture is computed."""
        return self.info.config.mixture()

    @property
    def uses_mixture(self) -> bool:
        """Whether the mixture takes part in its loss; a run without is a baseline."""
        return self.info.config.loss_kind == "agmm" and bool(self._terms)

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
            return FULL_MASKS
        if (clicks := self._annotation.settings.get("clicks_per_image")) is not None:
            return f"{clicks} clicks"
        return self._annotation.command or self.manifest_path.parent.name

    @property
    def loss(self) -> str:
        """The terms of its loss, in words, as the supplement's table 2 calls them."""
        if self.is_later_stage:
            return "pseudo-labels, MT" if self.before is None else f"{self.first_stage.loss}, MT"
        return " + ".join(["L_seg", *self._terms])

    @property
    def method(self) -> str:
        """The same in short: ``AGMM`` where all terms are used."""
        return self.loss.replace("L_seg + L_self + L_spar + L_con", "AGMM")

    @property
    def settings(self) -> dict[str, Any]:
        """What decided the network, by name, but for the terms of the loss and the annotation.

        In multi-stage training these are the settings of the first stage, and how pseudo-labels were made. Options of
        the loss that are off are left out, so that they equal those that nobody gave.
        """
        first = self.first_stage
        own = {key: value for key, value in first.info.config.to_dict().items() if key not in SILENT_SETTINGS}
        loss = {key: value for key, value in own.pop("loss").items() if value and not key.startswith("use_")}
        del own["supervision"], own["loss_kind"]
        if first.info.config.loss_kind == "agmm" and not first.uses_mixture:
            loss = {key: value for key, value in loss.items() if key == "absence_weight"}
            own = {key: value for key, value in own.items() if key not in ("lambda", "lambda_ramp")}
        made = self.about["annotation"]["settings"] if self.is_later_stage else {}
        between = {"pseudo_classes": "labelled", "soft": False, "threshold": 0.0, "protocol": ""} if made else {}
        return own | loss | {f"{LABELS_PREFIX}{key}": made.get(key, value) for key, value in between.items()}

    @property
    def seconds(self) -> float:
        """Time of all epochs, validation included."""
        return sum(epoch.get("seconds", 0.0) for epoch in self.epochs)

    @property
    def _terms(self) -> list[str]:
        """The terms of its loss beside the cross-entropy; for AGMM all three, unless a setting says otherwise."""
        config = self.info.config
        if config.loss_kind != "agmm":
            kinds = config.loss if config.loss_kind == "combined" else (config.loss_kind,)
            return [title for kind in kinds if (title := LOSSES[kind].title)]
        names = ("self", "spar", "con") if config.lambda_ > 0 else ()
        return [f"L_{name}" for name in names if config.loss.get(f"use_{name}", True)]

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
        """Epochs and values of a column of the log, where it has a value."""
        return [(int(epoch["epoch"]), epoch[column]) for epoch in self.epochs if column in epoch]


def read_run(path: Path, name: str, on_problem: OnProblem = None) -> Run:
    """Read a run.

    Args:
        path: Folder of a training, or a weights file in it.
        name: What to call it.
        on_problem: Told of scores, and of an earlier stage, that cannot be read; the run is then one without. If not
            given, they are errors.

    Raises:
        TrainingError: If it is no training, or one of its files is damaged.
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
    """A run without its scores."""
    folder = path if path.is_dir() else path.parent
    info = read_checkpoint_info(weights_path(path))
    try:
        about = _read_about(folder / RUN_NAME)
        epochs = _read_epochs(folder / LOG_NAME)
    except FileNotFoundError as error:
        raise TrainingError(
            f"{error.filename}: no such file; expected the folder of a training by `agmm train`."
        ) from error
    except (ValueError, KeyError, TypeError, OverflowError, csv.Error) as error:
        raise TrainingError(f"{folder}: {RUN_NAME} or {LOG_NAME} is damaged ({error!r}).") from error
    return Run(name, folder, info, about, epochs, (), _read_before(folder, about, on_problem))


def _read_about(path: Path) -> dict[str, Any]:
    """What ``agmm.runs.folder.describe_run`` has written."""
    about: dict[str, Any] = json.loads(path.read_bytes())
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
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        lines = [{name: float(value) for name, value in line.items() if value} for line in reader]
    if "epoch" not in (reader.fieldnames or ()):
        raise KeyError("epoch")
    if wrong := [line["epoch"] for line in lines if line["epoch"] != int(line["epoch"])]:
        raise ValueError(f"epoch is {wrong[0]}")
    return tuple({name: value for name, value in line.items() if math.isfinite(value)} for line in lines)


def _read_scores(folder: Path, info: CheckpointInfo) -> tuple[dict[str, Any], ...]:
    records = read_records(folder)
    for record in records:
        if [c["name"] for c in record["classes"]] != list(info.label_space.class_names):
            raise TrainingError(
                f"{folder / JSON_NAME}: holds scores of other classes than the network's. Delete it and evaluate again."
            )
    # A training that went on has other weights than those that were scored before.
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
