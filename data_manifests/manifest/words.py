"""The annotations of a manifest in words, for captions and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_manifests.manifest.schema import GROWN, ManifestInfo


def annotation_words(info: ManifestInfo) -> str:
    """Describe annotations by the command that made them and by its settings; empty if the manifest does not know them.

    Settings that no command writes, as a manifest edited by hand may have, are left out: the command alone remains.

    Example:
        >>> from data_manifests import known_label_space
        >>> from data_manifests.manifest.schema import ManifestInfo
        >>> space = known_label_space("camvid")
        >>> annotation_words(ManifestInfo(space, command="points", settings={"clicks_per_class": 1}))
        '1 click per class'
        >>> annotation_words(ManifestInfo(space, command="scribbles", settings={"length": 0.8}))
        'scribbles, 80 % length'
        >>> added = {"clicks_added": 3, "source_command": "points", "source_settings": {"clicks_per_class": 1}}
        >>> annotation_words(ManifestInfo(space, command="points", settings=added))
        '1 click per class + 3 clicks'
    """
    try:
        return _grown_words(info)
    except (TypeError, ValueError, AttributeError, RecursionError):
        return info.command


def _grown_words(info: ManifestInfo) -> str:
    command, made = info.command, info.settings
    if command != GROWN:
        return _words(command, made)
    while command == GROWN:
        command, made = made.get("source_command", ""), made.get("source_settings", {})
    return f"{_words(command, made)} grown by {info.settings.get('method', '')}"


def _words(command: str, made: Mapping[str, Any]) -> str:
    if "minutes" in made and command in ("points", "scribbles"):
        length = f", {_per_cent(made['length'])} length" if "length" in made else ""
        return f"{'clicks' if command == 'points' else 'scribbles'} in {made['minutes']:g} min per image{length}"
    if command == "points":
        return _click_words(made)
    if command == "scribbles" and "length" in made:
        return f"scribbles, {_per_cent(made['length'])} length{_unit(made)}"
    if command == "marks":
        kind = made.get("kind", "")
        share = f", {_per_cent(made['share'])} of each region" if "share" in made else ""
        return {"block": "blocks", "box": "boxes", "coarse": "coarse polygons"}.get(kind, "marks") + share + _unit(made)
    if command == "merge" and isinstance(made.get("sources"), list) and "way" in made:
        return f"{made['way']} of {len(made['sources'])} annotations"
    return command


def _click_words(made: Mapping[str, Any]) -> str:
    for unit in ("image", "class", "instance"):
        if isinstance(number := made.get(f"clicks_per_{unit}"), int):
            per = "" if unit == "image" else f" per {unit}"
            strategy = made.get("strategy", "uniform")
            how = f", {strategy}" if unit == "image" and strategy != "uniform" else ""
            return f"{number} click{'s' if number != 1 else ''}{per}{how}"
    if isinstance(made.get("clicks_added"), int):  # to marks of another kind
        before = _words(made.get("source_command", ""), made.get("source_settings", {}))
        return f"{before} + {_click_words({**made, 'clicks_per_image': made['clicks_added']})}"
    return "points"


def _per_cent(share: object) -> str:
    return f"{100 * share:.0f} %" if isinstance(share, int | float) else str(share)


def _unit(made: Mapping[str, Any]) -> str:
    per, sloppy = made.get("per", "region"), ", sloppy" if made.get("sloppiness") else ""
    number = made.get("strokes", 1) if per == "image" else "one"
    return ("" if per == "region" else f", {number} per {per}") + sloppy
