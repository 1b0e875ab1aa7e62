"""Which settings an interrupted run is resumed with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from agmm.config.recipes import read_toml
from agmm.config.training import TrainConfig
from agmm.runs.checkpoint import read_checkpoint_info
from agmm.runs.files import CONFIG_NAME, STATE_NAME
from agmm.training.regime import resolve_loss
from data_manifests import Manifest

# Settings that may change on resume: they decide how long and where a run trains.
_RESUMABLE = ("epochs", "device", "workers", "val_every", "compile", "log")


def written_config(run_dir: Path, trained: TrainConfig) -> TrainConfig:
    """Read the settings in a run's ``config.toml``; missing ones keep the values of the run."""
    path = run_dir / CONFIG_NAME
    return TrainConfig.from_dict({**trained.to_dict(), **read_toml(path)}, path) if path.is_file() else trained


def resumed_config(run_dir: Path, overrides: Mapping[str, Any], manifest: Manifest | None = None) -> TrainConfig:
    """Return the settings of an interrupted run with allowed changes.

    Changes may come from the call or from the run's ``config.toml``.

    Args:
        run_dir: The run folder.
        overrides: New values by name.
        manifest: What the run is trained on, by which the loss ``auto`` is resolved, as when the run was started.

    Raises:
        TrainingError: If the folder does not hold a run that can be resumed.
        ValueError: If a setting other than epochs, device, workers, val_every, compile or log changes, or the new
            number of epochs is below those already trained.
    """
    info, path = read_checkpoint_info(run_dir / STATE_NAME), run_dir / CONFIG_NAME
    config, written = info.config, written_config(run_dir, info.config)
    is_auto = manifest is not None and overrides.get("loss_kind") == "auto"
    if overrides.get("loss_kind", written.loss_kind) != written.loss_kind:
        overrides = {"loss": {}, **overrides}  # options belong to one loss
    changed = TrainConfig.from_dict({**written.to_dict(), **overrides})
    if manifest is not None:
        changed = resolve_loss(manifest, changed)
    note = f" (auto is {changed.loss_kind} on this annotation)" if is_auto else ""
    require_same_settings(run_dir, config, changed, edited=(written, path), note=note)
    if changed.epochs < info.epoch:
        raise ValueError(
            f"{run_dir}: {info.epoch} epochs are already trained, more than the {changed.epochs} requested. A larger "
            "--epochs trains longer; for a shorter schedule, start a new run."
        )
    return changed


def require_same_settings(
    run_dir: Path,
    trained: TrainConfig,
    wanted: TrainConfig,
    *,
    edited: tuple[TrainConfig, Path] | None = None,
    note: str = "",
) -> None:
    """Refuse to resume a run with other settings than those that may change.

    Args:
        run_dir: The run folder.
        trained: Settings of the run so far.
        wanted: Settings to resume with.
        edited: Settings of the run's ``config.toml``, and its path, to name it if it causes the difference.
        note: Ends the list of differences.

    Raises:
        ValueError: If others differ.
    """

    def differing(other: TrainConfig) -> list[str]:
        fixed = [field.name for field in fields(trained) if field.name not in _RESUMABLE]
        return [name for name in fixed if getattr(trained, name) != getattr(other, name)]

    if differ := differing(wanted):
        is_edited = edited is not None and not set(differ).isdisjoint(differing(edited[0]))
        by = f" (by {edited[1]}, which has been edited)" if edited is not None and is_edited else ""
        values = ", ".join(f"{name} is {getattr(trained, name)}, not {getattr(wanted, name)}" for name in differ)
        raise ValueError(
            f"{run_dir}: a resumed run keeps its settings, but {', '.join(differ)} would change{by}: {values}{note}. "
            f"Start a new run for that; only {', '.join(_RESUMABLE)} may change."
        )
