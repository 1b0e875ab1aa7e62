"""The annotations of a manifest in words, for captions and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from data_manifests.manifest.schema import GROWN, ManifestInfo

T = TypeVar("T")

_UNITS = ("image", "class", "instance")

#: Commands that draw marks.
_DRAWN = ("points", "scribbles", "marks")

#: Name of each kind of mark in the plural.
_KINDS = {"block": "blocks", "box": "boxes", "coarse": "coarse polygons"}

#: Numbers from this on are no setting of any command.
_TOO_LARGE = 1e9


class _UnknownError(Exception):
    """A setting that no command writes."""


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
    command, made, method = info.command, info.settings, ""
    try:
        while command == GROWN:
            method = method or _get(made, "method", "")
            command, made = _source(made)
        words = _words(command, made)
    except _UnknownError:
        return info.command
    return f"{words} grown by {method}" if info.command == GROWN else words


def _get(made: Mapping[str, Any], name: str, default: T) -> T:
    """A setting of the type of its default."""
    if not isinstance(value := made.get(name, default), type(default)):
        raise _UnknownError(name)
    return value


def _number(made: Mapping[str, Any], name: str) -> float:
    if not isinstance(value := made[name], int | float) or not abs(value) < _TOO_LARGE:
        raise _UnknownError(name)
    return value


def _source(made: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Command and settings of the annotation that this one was made from."""
    return _get(made, "source_command", ""), _get(made, "source_settings", dict[str, Any]())


def _words(command: str, made: Mapping[str, Any]) -> str:
    added: list[str] = []
    # The number of clicks per image, class or instance includes those that they were added to.
    while command in _DRAWN and "source_command" in made and not any(f"clicks_per_{unit}" in made for unit in _UNITS):
        own = {"clicks_per_image": made["clicks_added"]} if "clicks_added" in made else {}
        added.insert(0, _mark_words(command, {**made, **own}))
        command, made = _source(made)
    return " + ".join([_mark_words(command, made), *added])


def _mark_words(command: str, made: Mapping[str, Any]) -> str:
    if "minutes" in made and command in ("points", "scribbles"):
        length = f", {_per_cent(made, 'length')} length" if "length" in made else ""
        return (
            f"{'clicks' if command == 'points' else 'scribbles'} in {_number(made, 'minutes'):g} min per image{length}"
        )
    if command == "points":
        return _click_words(made)
    if command == "scribbles" and "length" in made:
        return f"scribbles, {_per_cent(made, 'length')} length{_unit(made)}"
    if command == "marks":
        share = f", {_per_cent(made, 'share')} of each region" if "share" in made else ""
        return _KINDS.get(_get(made, "kind", ""), "marks") + share + _unit(made)
    if command == "merge" and "sources" in made and "way" in made:
        return f"{_get(made, 'way', '')} of {len(_get(made, 'sources', list[Any]()))} annotations"
    return command


def _click_words(made: Mapping[str, Any]) -> str:
    for unit in _UNITS:
        if f"clicks_per_{unit}" in made:
            number = _number(made, f"clicks_per_{unit}")
            strategy = _get(made, "strategy", "uniform")
            per = "" if unit == "image" else f" per {unit}"
            how = f", {strategy}" if unit == "image" and strategy != "uniform" else ""
            return f"{number} click{'s' if number != 1 else ''}{per}{how}"
    return "points"


def _per_cent(made: Mapping[str, Any], name: str) -> str:
    return f"{100 * _number(made, name):.0f} %"


def _unit(made: Mapping[str, Any]) -> str:
    per, sloppy = _get(made, "per", "region"), ", sloppy" if made.get("sloppiness") else ""
    number = _number(made, "strokes") if per == "image" and "strokes" in made else 1
    return ("" if per == "region" else f", {number if per == 'image' else 'one'} per {per}") + sloppy
