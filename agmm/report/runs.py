"""What figures, tables and the page know of a training, read from its folder without its network."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agmm.checkpoint_info import CheckpointInfo, read_checkpoint_info
from agmm.config import PROTOCOLS
from agmm.errors import TrainingError
from agmm.evaluation_files import MIXTURE_PROTOCOL, read_records
from agmm.given_files import LOG_NAME, RUN_NAME, weights_path
from agmm.studies import published_as
from data_manifests import DataError, LabelSpace, Manifest, ManifestInfo, read_manifest
from data_manifests.schema import PSEUDO_LABELS

if TYPE_CHECKING:
    from agmm.losses import LossOptions

#: Settings that tell no network from another: where it was trained, and what was watched.
SILENT_SETTINGS = ("device", "workers", "amp", "compile", "gmm_images")

# Before what was set for the pseudo-labels.
_LABELS = "pseudo-labels "
# Settings that only some trainings have; one without is not apart from the others by that.
_NOT_ALWAYS = (
    "lambda",
    "lambda_ramp",
    *(_LABELS + name for name in ("pseudo_classes", "soft", "threshold", "protocol")),
)
# A name that says more is longer than the folder's.
_MOST_SETTINGS = 3


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
        from agmm.losses import resolve_options  # imports torch, which tables do without

        return resolve_options(self.info.config.preset, **self.info.config.loss)

    @property
    def uses_mixture(self) -> bool:
        """Whether the mixture takes part in its loss; a run without is a baseline."""
        return bool(self._terms)

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
        del own["supervision"]
        if not first.uses_mixture:
            loss = {key: value for key, value in loss.items() if key == "absence_weight"}
            own = {key: value for key, value in own.items() if key not in ("lambda", "lambda_ramp")}
        made = self.about["annotation"]["settings"] if self.is_later_stage else {}
        between = {"pseudo_classes": "labelled", "soft": False, "threshold": 0.0, "protocol": ""} if made else {}
        return own | loss | {f"{_LABELS}{key}": made.get(key, value) for key, value in between.items()}

    @property
    def seconds(self) -> float:
        """Time of all epochs, validation included."""
        return sum(epoch.get("seconds", 0.0) for epoch in self.epochs)

    @property
    def _terms(self) -> list[str]:
        """The mixture's terms in its loss; all of them, unless a setting says otherwise."""
        config = self.info.config
        names = ("self", "spar", "con") if config.lambda_ > 0 else ()
        return [f"L_{name}" for name in names if config.loss.get(f"use_{name}", True)]

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


def read_runs(paths: Sequence[Path], names: Sequence[str] = ()) -> list[Run]:
    """Read runs to be shown side by side.

    Args:
        paths: Folders of trainings, or weights files in them.
        names: What to call them, one for each; by default what ``default_names`` says.

    Raises:
        TrainingError: If one is no training, is given twice, or has other classes than the first.
        ValueError: If there are not as many names as runs, or one is empty or given twice.
    """
    if names and len(names) != len(paths):
        raise ValueError(f"Give a name for each of the {len(paths)} runs, in their order; got {len(names)}.")
    if (wrong := next((name for name in names if names.count(name) > 1 or not name.strip()), None)) is not None:
        raise ValueError(f"Each name must tell its run from the others, got '{wrong}'.")
    folders = [path if path.is_dir() else path.parent for path in paths]
    in_short = run_names(folders)
    runs = [_read(folder, path, name) for folder, path, name in zip(folders, paths, in_short, strict=True)]
    for run in runs[1:]:
        run.info.require_classes(runs[0].label_space, runs[0].folder)
    return [replace(run, name=name) for run, name in zip(runs, names or default_names(runs), strict=True)]


def default_names(runs: Sequence[Run]) -> list[str]:
    """What runs are called unless a user says otherwise: by what tells them apart.

    That is the method (``L_seg``, ``AGMM``), what people annotated (``20 clicks``), and up to three settings
    (``seed 0``, ``lambda 0.5``, ``stop gradient``); each only where the runs differ in it, and a setting only where it
    is not that of most runs. A run alone is called by method and annotation. A run that this does not tell from the
    others, or that differs in more settings, keeps the name it has, that of its folder.
    """
    if len(runs) == 1:
        return [_joined(runs[0].method, runs[0].annotation)]
    apart = settings_apart(runs)
    show_preset = "preset" in apart
    methods = [f"{run.method} ({run.settings['preset']})" if show_preset else run.method for run in runs]
    annotations = _annotation_names(runs)
    usual = {name: _usual([run.settings.get(name) for run in runs]) for name in apart if name != "preset"}
    unusual = [[name for name, value in usual.items() if run.settings.get(name) != value] for run in runs]
    words = [setting_words(run, names) for run, names in zip(runs, unusual, strict=True)]
    parts = [annotations, words] if len(set(annotations)) > 1 else [words]
    if len(set(methods)) > 1 or not all(any(of_run) for of_run in zip(*parts, strict=True)):
        # A network trained on full masks by cross-entropy is the common ceiling: "full masks" says all.
        parts.insert(
            0, ["" if run.is_full and run.method == "L_seg" else m for run, m in zip(runs, methods, strict=True)]
        )
    names = [_joined(*of_run) for of_run in zip(*parts, strict=True)]
    return [
        name if name and names.count(name) == 1 and len(of_run) <= _MOST_SETTINGS else run.name
        for run, name, of_run in zip(runs, names, unusual, strict=True)
    ]


def settings_apart(runs: Sequence[Run]) -> list[str]:
    """Names of the settings in which runs differ."""
    of_runs = [run.settings for run in runs]
    names = dict.fromkeys(name for settings in of_runs for name in settings)

    def differ(name: str) -> bool:
        values = [settings.get(name) for settings in of_runs if name in settings or name not in _NOT_ALWAYS]
        return any(value != values[0] for value in values)

    return sorted(filter(differ, names), key=lambda name: name.startswith(_LABELS))


def _usual(values: Sequence[Any]) -> Any:
    """The value of more than half of them; an object like none of them where there is no such value."""
    return next((value for value in values if 2 * values.count(value) > len(values)), object())


def setting_words(run: Run, names: Sequence[str]) -> str:
    """Some settings of a run in words, such as ``epochs 80, stop gradient``; nothing for those it does not have."""

    def word(name: str, value: Any) -> str:
        plain = name.removeprefix(_LABELS).replace("_", " ")
        if isinstance(value, bool):
            return plain if value else f"no {plain}"
        return f"{plain} {'/'.join(map(str, value)) if isinstance(value, list) else value}"

    settings = run.settings
    return _joined(*(word(name, settings[name]) for name in names if settings.get(name) is not None))


def _annotation_names(runs: Sequence[Run]) -> list[str]:
    """What people annotated for each run; by the manifest's folder where the same words stand for several."""
    words = [run.annotation for run in runs]
    folders = [run.first_stage.manifest_path.parent for run in runs]
    several = {word for word in words if len({f for f, w in zip(folders, words, strict=True) if w == word}) > 1}
    is_clear = not several - {"full masks"}
    return words if is_clear else [f.name if w in several else w for f, w in zip(folders, words, strict=True)]


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def run_names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell runs apart.

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
            what += "" if like is None else f" like those of {like[0].folder}"
            command = _scoring_command(run, split, protocol, like)
            missing.append(f"{run.folder}: has no scores of split '{split}'{what}. Make them with: {command}")
    return ChosenScores(records, tuple(missing))


def scored_split(runs: Sequence[Run]) -> str:
    """The split whose scores to show unless a user says otherwise: that on which most runs are scored, else ``val``."""
    scored = [split for run in runs for split in {record["split"] for record in run.records}]
    return max(sorted(set(scored)), key=lambda split: (scored.count(split), split == "val"), default="val")


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
    name = next((name for name in PROTOCOLS if protocol.startswith(name)), "whole")
    options = [] if name == "whole" else ["--protocol", name]
    if tiles := re.search(r"tile (\d+), overlap ([\d.]+)", protocol):
        options += ["--tile", tiles[1], *([] if tiles[2] == "0.67" else ["--overlap", tiles[2]])]
    return [*options, *(["--crf"] if protocol.endswith("dense CRF") else [])]


def _scores(run: Run, split: str, protocol: str | None) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {
        (record["dataset"], record["protocol"], record["num_images"], record.get("images_sha256")): record
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
