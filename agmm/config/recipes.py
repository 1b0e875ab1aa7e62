"""Recipes, and the layers of settings: recipe, TOML file, single values."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from agmm.config.training import TrainConfig, merge_settings, near, spell
from agmm.errors import TrainingError
from data_manifests.files import text
from data_manifests.files.paths import as_path

DEFAULT_RECIPE = "small-cpu"


def recipe_names() -> tuple[str, ...]:
    """Return the names of the built-in recipes, sorted."""
    return tuple(sorted(Path(entry.name).stem for entry in _recipes().iterdir() if entry.name.endswith(".toml")))


def recipe_text(name: str) -> str:
    """Return the TOML text of a recipe, with its comments.

    Raises:
        ValueError: If there is no such recipe; the message suggests similar names.
    """
    if name not in (names := recipe_names()):
        raise ValueError(f"Unknown recipe '{name}'. Choose from: {', '.join(names)}.{near(name, names)}")
    return str((_recipes() / f"{name}.toml").read_text(encoding="utf-8"))


def recipe_summary(name: str) -> str:
    """Return the first comment line of a recipe, which states its purpose."""
    return recipe_text(name).splitlines()[0].lstrip("# ")


def load_config(
    recipe: str = DEFAULT_RECIPE, config_path: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> TrainConfig:
    """Load settings from a recipe, overridden by a file, overridden by single values.

    Args:
        recipe: Name of a recipe.
        config_path: TOML file of settings, such as the ``config.toml`` of an earlier run.
        overrides: Values by name, such as command line options.

    Raises:
        TrainingError: If the file is missing or not valid TOML.
        ValueError: If a name is unknown or a value cannot be used.
    """
    layers: list[tuple[object, Mapping[str, Any]]] = [(f"recipe {recipe}", tomllib.loads(recipe_text(recipe)))]
    if config_path is not None:
        layers.append((config_path, read_toml(as_path(config_path))))
    layers.append(("settings", {spell(name): value for name, value in (overrides or {}).items()}))
    merged: dict[str, Any] = {}
    for where, layer in layers:
        merged = merge_settings(merged, layer)
        TrainConfig.from_dict(merged, where)  # an error names the layer
    return TrainConfig.from_dict(merged)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        TrainingError: If it is missing or not valid TOML.
    """
    try:
        return text.read_toml(path)
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: no such file; --config takes a TOML file of settings.") from error
    except IsADirectoryError as error:
        raise TrainingError(f"{path}: is a folder; expected a TOML file of settings.") from error
    except ValueError as error:
        raise TrainingError(f"{path}: not a TOML file ({error}).") from error


def _recipes() -> Any:
    return files("agmm") / "recipes"
