"""Names of runs in comparisons, derived from their differences."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agmm.errors import TrainingError
from agmm.report.run import LABELS_PREFIX, Run

# Settings that only some runs have; missing them does not distinguish a run.
_NOT_ALWAYS = (
    "lambda",
    "lambda_ramp",
    "preset",
    *(LABELS_PREFIX + name for name in ("pseudo_classes", "soft", "threshold", "protocol")),
)
# With more settings, the name would be longer than that of the folder.
_MOST_SETTINGS = 3


def default_names(runs: Sequence[Run]) -> list[str]:
    """Return default names of runs, derived from their differences.

    A name consists of the method (``L_seg``, ``AGMM``), the human annotation (``20 clicks``), and up to three settings
    (``seed 0``, ``lambda 0.5``, ``stop gradient``). Each part appears only if the runs differ in it, and a setting only
    if it differs from that of most runs. A single run is named after method and annotation. A run that remains
    ambiguous, or differs in more settings, keeps the name of its folder.
    """
    if len(runs) == 1:
        return [_joined(runs[0].method, runs[0].annotation)]
    apart = settings_apart(runs)
    show_preset = "preset" in apart
    presets = [run.settings.get("preset") for run in runs]
    methods = [
        f"{run.method} ({preset})" if show_preset and preset else run.method
        for run, preset in zip(runs, presets, strict=True)
    ]
    annotations = _annotation_names(runs)
    usual = {name: _usual([run.settings.get(name) for run in runs]) for name in apart if name != "preset"}
    unusual = [[name for name, value in usual.items() if run.settings.get(name) != value] for run in runs]
    words = [setting_words(run, names) for run, names in zip(runs, unusual, strict=True)]
    parts = [annotations, words] if len(set(annotations)) > 1 else [words]
    if len(set(methods)) > 1 or not all(any(of_run) for of_run in zip(*parts, strict=True)):
        # A network trained on full masks with cross-entropy is the common ceiling: "full masks" suffices.
        parts.insert(
            0, ["" if run.is_full and run.method == "L_seg" else m for run, m in zip(runs, methods, strict=True)]
        )
    names = [_joined(*of_run) for of_run in zip(*parts, strict=True)]
    # Compare with folder names too, because another run may keep its own.
    taken = [*names, *(run.name for run in runs)]
    return [
        name if name and taken.count(name) == 1 and len(of_run) <= _MOST_SETTINGS else run.name
        for run, name, of_run in zip(runs, names, unusual, strict=True)
    ]


def settings_apart(runs: Sequence[Run]) -> list[str]:
    """Names of the settings in which runs differ."""
    of_runs = [run.settings for run in runs]
    names = dict.fromkeys(name for settings in of_runs for name in settings)

    def differ(name: str) -> bool:
        values = [settings.get(name) for settings in of_runs if name in settings or name not in _NOT_ALWAYS]
        return any(value != values[0] for value in values)

    return sorted(filter(differ, names), key=lambda name: name.startswith(LABELS_PREFIX))


def _usual(values: Sequence[Any]) -> Any:
    """Return the value of more than half of them, or an object that equals none of them."""
    return next((value for value in values if 2 * values.count(value) > len(values)), object())


def setting_words(run: Run, names: Sequence[str]) -> str:
    """Put settings of a run into words, such as ``epochs 80, stop gradient``; skips those it does not have."""

    def word(name: str, value: Any) -> str:
        plain = name.removeprefix(LABELS_PREFIX).replace("_", " ")
        if isinstance(value, bool):
            return plain if value else f"no {plain}"
        return f"{plain} {'/'.join(map(str, value)) if isinstance(value, list) else value}"

    settings = run.settings
    return _joined(*(word(name, settings[name]) for name in names if settings.get(name) is not None))


def _annotation_names(runs: Sequence[Run]) -> list[str]:
    """Describe the human annotation of each run; use the manifest's folder if the same words fit several."""
    words = [run.annotation for run in runs]
    folders = [run.first_stage.manifest_path.parent for run in runs]
    several = {word for word in words if len({f for f, w in zip(folders, words, strict=True) if w == word}) > 1}
    is_clear = not several - {"full masks"}
    return words if is_clear else [f.name if w in several else w for f, w in zip(folders, words, strict=True)]


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def folder_names(folders: Sequence[Path]) -> list[str]:
    """Return the shortest path suffixes that distinguish the runs.

    Raises:
        TrainingError: If a run is given twice.

    Example:
        >>> folder_names([Path("runs/a"), Path("runs/b")]), folder_names([Path("a/seed-0"), Path("b/seed-0")])
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
