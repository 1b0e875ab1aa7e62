"""Studies: lists of settings to compare, from the supplement's tables or from a TOML file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from agmm.config.protocol import PROTOCOLS
from agmm.config.recipes import read_toml
from agmm.config.training import MOST_NETWORKS, PseudoClasses, TrainConfig, merge_settings
from agmm.errors import TrainingError
from data_manifests.files.paths import without_links

if TYPE_CHECKING:  # so that the command line lists the paper's tables without NumPy
    from data_manifests import LabelSpace, Manifest

#: Most settings of a study, and most runs: settings times manifests times seeds.
MOST_SETTINGS, MOST_RUNS = 1000, 10_000


@dataclass(frozen=True)
class Setting:
    """One row of a study.

    Args:
        name: Name of the row.
        changes: Changes to the base settings, keyed by fields of ``TrainConfig``.
        stages: Number of training stages; 2 is multi-stage training (MT).
        manifests: Its manifests, if not all of the study's.
        pseudo_classes: Classes that pseudo-labels may hold; see ``agmm.training.stages.run_stages``.
        soft: Whether later stages learn probabilities; see ``agmm.training.stages.run_stages``.
        published: mIoU in per cent by annotation, named as :func:`published_as` does.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    stages: int = 1
    manifests: tuple[Path, ...] = ()
    pseudo_classes: PseudoClasses = "labelled"
    soft: bool = False
    published: Mapping[str, float] = field(default_factory=dict)

    @property
    def changes_in_words(self) -> str:
        """Changes of the row, in the syntax of a study's file; empty if there are none."""
        own = {
            "stages": self.stages if self.stages > 1 else None,
            "pseudo_classes": self.pseudo_classes,
            "soft": self.soft,
        }
        unusual = {key: value for key, value in own.items() if value not in (None, False, "labelled")}
        loss = {f"loss.{key}": value for key, value in self.changes.get("loss", {}).items()}
        others = {key: value for key, value in self.changes.items() if key != "loss"}
        return ", ".join(f"{key} = {json.dumps(value)}" for key, value in (others | loss | unusual).items())

    def trains_on(self, manifest: Manifest) -> bool:
        """Whether the row uses a manifest."""
        return not self.manifests or _folder(manifest.path) in map(_folder, self.manifests)

    def apply(self, base: TrainConfig, seed: int) -> TrainConfig:
        """The settings of one run.

        Raises:
            ValueError: If a name is unknown or a value cannot be used.
        """
        merged = merge_settings(base.to_dict(), {**self.changes, "seed": seed})
        config = TrainConfig.from_dict(merged, f"setting '{self.name}'")
        if self.stages > 1 and config.supervision != "sparse":
            raise ValueError(f"setting '{self.name}': stages replace the sparse annotation, but supervision is full.")
        return config


@dataclass(frozen=True)
class Study:
    """Settings to compare.

    Args:
        title: Title of the report.
        settings: The rows.
        manifests: Training data, if the study names it.
        seeds: Each setting is trained once per seed; empty if the study does not list them.
        recipe: Recipe that the settings start from, if the study names one.
        base: TOML file of settings on top of the recipe, if the study names one.
        split: Split to score, if the study names one.
        protocol: Evaluation protocol, if the study names one.
        pseudo_protocol: Protocol for pseudo-labels between stages, if the study names one.
        baseline: Name of the row that the others are compared with; empty for no comparison.
        ceiling: Name of the row that bounds what any annotation can reach, usually full masks; empty for none.
        published_in: Label space on which the published numbers were measured; empty for none.
        published_images: Number of images they were measured on.
    """

    title: str
    settings: tuple[Setting, ...]
    manifests: tuple[Path, ...] = ()
    seeds: tuple[int, ...] = ()
    recipe: str = ""
    base: Path | None = None
    split: str = ""
    protocol: str = ""
    pseudo_protocol: str = ""
    baseline: str = ""
    ceiling: str = ""
    published_in: str = ""
    published_images: int = 0

    def labelled_by(self, threshold: float, protocol: str) -> Study:
        """The same study without published numbers for stages whose pseudo-labels are made differently.

        Args:
            threshold: See ``labels_as_published``.
            protocol: See ``labels_as_published``.
        """
        return replace(
            self,
            settings=tuple(
                setting
                if setting.stages == 1 or labels_as_published(setting.pseudo_classes, setting.soft, threshold, protocol)
                else replace(setting, published={})
                for setting in self.settings
            ),
        )

    def is_published_for(self, label_space: LabelSpace, num_images: int) -> bool:
        """Whether published numbers are comparable: same label space, and the image count of the official split."""
        return (label_space.name, num_images) == (self.published_in, self.published_images)


def published_as(manifest: Manifest) -> str:
    """The supplement's name for the annotations: number of clicks per image, ``scribble``, or ``point``."""
    info = manifest.info
    if "source" in info.settings or info.settings.get("strategy") in ("uncertain", "corrective"):
        return ""  # clicks that a network guides, or that were added to others: the supplement has none
    if "clicks_per_image" in info.settings:
        return str(info.settings["clicks_per_image"])
    if "minutes" in info.settings:
        return ""
    return {"scribbles": "scribble", "points": "point"}.get(info.command, "")


def labels_as_published(pseudo_classes: str, soft: bool, threshold: float, protocol: str) -> bool:
    """Whether pseudo-labels are made as in the published MT, as far as is known.

    The paper does not say. The authors' earlier code segments at several scales, keeps the classes labelled in the
    image, and takes the most likely of them at every pixel.

    Args:
        pseudo_classes: See ``agmm.training.stages.run_stages``.
        soft: See ``agmm.training.stages.run_stages``.
        threshold: See ``agmm.training.stages.run_stages``.
        protocol: How images are segmented, in words, as ``agmm.inference.protocols.Protocol`` has it.
    """
    hard = not soft and threshold == 0 and not protocol.endswith("dense CRF")
    return pseudo_classes == "labelled" and hard and protocol.startswith("multi-scale")


#: Footnote to published numbers if those of some multi-stage rows are omitted.
LABELS_AS_PUBLISHED = (
    "No published number applies to MT with pseudo-labels made differently from the authors' earlier code, which "
    "takes, at several scales, the most likely of the image's labelled classes at every pixel."
)


_ROW_KEYS = ("name", "stages", "manifests", "pseudo_classes", "soft")
_PROTOCOL_KEYS = ("protocol", "pseudo_protocol")
_WORDS = ("recipe", "base", "split", *_PROTOCOL_KEYS, "baseline", "ceiling")
_KEYS = ("title", "manifests", "seeds", *_WORDS)


def read_study(path: Path) -> Study:
    """Read a study from a TOML file.

    Keys: ``title``; ``manifests``, paths from the file's folder; ``seeds``; ``recipe``, by its name; ``base``, the path
    of a TOML file of settings; ``split``, ``protocol`` and ``pseudo_protocol``; ``baseline`` and ``ceiling``, names
    of rows to compare with; and a table ``[[setting]]`` for each row with its ``name``, optionally ``stages``,
    ``manifests`` (some of the study's), ``pseudo_classes`` and ``soft``, and any setting of a recipe to change.

    Args:
        path: The file.

    Raises:
        TrainingError: If it is missing, not TOML, or has no settings.
        ValueError: If a key is unknown or a value has the wrong type.

    Example:
        A study of two rows::

            title = "Stop the gradient?"
            manifests = ["../sparse/town-20clicks"]
            seeds = [0, 1, 2]

            [[setting]]
            name = "gradient into the mixture"

            [[setting]]
            name = "stopped"
            loss = { stop_gradient = true }
    """
    if not path.is_file():
        raise TrainingError(f"{path}: no such study; expected a TOML file with a [[setting]] for each row.")
    data = read_toml(path)
    if unknown := sorted(set(data) - {*_KEYS, "setting"}):
        raise ValueError(f"{path}: unknown key '{unknown[0]}'. Known: {', '.join(_KEYS)}, [[setting]].")
    tables = data.get("setting", [])
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables) or not tables:
        raise TrainingError(f"{path}: holds no [[setting]]; each row of the study is one.")
    if len(tables) > MOST_SETTINGS:
        raise ValueError(f"{path}: holds {len(tables):,} settings; the limit is {MOST_SETTINGS:,}.")
    settings = tuple(_read_setting(path, number, table) for number, table in enumerate(tables, start=1))
    names = [setting.name for setting in settings]
    manifests = _read_manifests(path, data, str(path))
    for setting in settings:
        if strange := [m for m in setting.manifests if manifests and _folder(m) not in map(_folder, manifests)]:
            raise ValueError(f"{path}: setting '{setting.name}': {strange[0]} is not one of the study's manifests.")
    base = path.parent / data["base"] if isinstance(data.get("base"), str) else None
    if base is not None and not base.is_file():
        raise TrainingError(f"{path}: base names {base}, which is missing.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{path}: two settings are named '{twice[0]}'.")
    seeds = data.get("seeds", [])
    if not isinstance(seeds, list) or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise ValueError(f"{path}: seeds must be a list of whole numbers from 0, got {seeds!r}.")
    if len(seeds) > MOST_RUNS:
        raise ValueError(f"{path}: lists {len(seeds):,} seeds; the limit is {MOST_RUNS:,}.")
    if twice_seeds := sorted(seed for seed, count in Counter(seeds).items() if count > 1):
        raise ValueError(f"{path}: seed {twice_seeds[0]} is listed twice.")
    if wrong := [key for key in ("title", *_WORDS) if not isinstance(data.get(key, ""), str)]:
        raise ValueError(f"{path}: {wrong[0]} must be text in quotes, got {data[wrong[0]]!r}.")
    for key in ("baseline", "ceiling"):
        if data.get(key, names[0]) not in names:
            raise ValueError(f"{path}: {key} '{data[key]}' is not the name of a [[setting]].")
    for key in _PROTOCOL_KEYS:
        if (value := data.get(key, PROTOCOLS[0])) not in PROTOCOLS:
            raise ValueError(f"{path}: unknown {key} '{value}'. Choose from: {', '.join(PROTOCOLS)}.")
    return Study(
        data.get("title", path.stem),
        settings,
        manifests,
        tuple(seeds),
        data.get("recipe", ""),
        base,
        data.get("split", ""),
        data.get("protocol", ""),
        data.get("pseudo_protocol", ""),
        data.get("baseline", ""),
        data.get("ceiling", ""),
    )


def _folder(manifest: Path) -> Path:
    """A manifest can be named by its file or by its folder."""
    return without_links(manifest.parent if manifest.suffix == ".csv" else manifest)


def _read_manifests(path: Path, table: Mapping[str, Any], where: str) -> tuple[Path, ...]:
    names = table.get("manifests", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{where}: manifests must be a list of paths, got {names!r}.")
    return tuple(path.parent / name for name in names)


def _read_setting(path: Path, number: int, table: Mapping[str, Any]) -> Setting:
    name, stages = table.get("name"), table.get("stages", 1)
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{path}: [[setting]] number {number} needs a name, a text in quotes; got {name!r}.")
    if name != name.strip():  # tables would show two rows of one name
        raise ValueError(f"{path}: [[setting]] number {number}: its name begins or ends with a space, {name!r}.")
    if not name.isprintable():  # terminals obey some of the others
        raise ValueError(f"{path}: [[setting]] number {number}: its name holds an unprintable character, {name!r}.")
    if type(stages) is not int or not 1 <= stages <= MOST_NETWORKS:
        raise ValueError(
            f"{path}: setting '{name}': stages must be a whole number from 1 to {MOST_NETWORKS}, got {stages!r}."
        )
    if (pseudo_classes := table.get("pseudo_classes", "labelled")) not in get_args(PseudoClasses):
        raise ValueError(f"{path}: setting '{name}': pseudo_classes must be labelled or all, got {pseudo_classes!r}.")
    if type(soft := table.get("soft", False)) is not bool:
        raise ValueError(f"{path}: setting '{name}': soft must be true or false, got {soft!r}.")
    if stages == 1 and (idle := [key for key in ("pseudo_classes", "soft") if key in table]):
        raise ValueError(f"{path}: setting '{name}': {idle[0]} needs later stages; give stages = 2.")
    changes = {key: value for key, value in table.items() if key not in _ROW_KEYS}
    manifests = _read_manifests(path, table, f"{path}: setting '{name}'")
    setting = Setting(name, changes, stages, manifests, pseudo_classes, soft)
    if "seed" in setting.changes:
        raise ValueError(f"{path}: setting '{name}': give seeds for the whole study, not a seed.")
    try:
        # Checked against a neutral base here, and against the study's own base once it is known.
        setting.apply(TrainConfig(encoder_weights="imagenet"), seed=0)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return setting
