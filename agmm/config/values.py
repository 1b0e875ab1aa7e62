"""Values of settings from Python, TOML, JSON or the command line, which must have the types of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


_T = TypeVar("_T")

#: Largest whole number of a setting; torch takes no larger seed.
LARGEST = 2**63 - 1


def as_kind(value: Any, default: Any, where: str) -> Any:
    """Convert a value to the type of its default: whole numbers become floats, and lists tuples.

    Args:
        value: The value.
        default: The default; None stands for None or a list of floats.
        where: Source of the value, for errors.

    Raises:
        ValueError: If it has another type, or is too large for a float.
    """
    if default is None:
        return None if value is None else as_kind(value, (0.0,), where)
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        return tuple(as_kind(item, default[0] if default else 0, where) for item in value)
    if isinstance(default, Mapping) and isinstance(value, Mapping):
        return dict(value)
    if isinstance(default, float) and type(value) is int:
        return _as_float(value, where)
    # True and False are whole numbers of Python.
    if not isinstance(value, type(default)) or isinstance(value, bool) != isinstance(default, bool):
        raise ValueError(f"{where} must be {_KINDS.get(type(default), type(default).__name__)}, got {value!r}.")
    return value


def look_up(name: str, known: Mapping[str, _T], what: str) -> _T:
    """Return the value of a name.

    Raises:
        ValueError: If it is unknown; suggests a similar one.
    """
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Choose from: {', '.join(known)}."
    raise ValueError(f"Unknown {what} {name!r}. {hint}")


def check_kinds(settings: DataclassInstance) -> None:
    """Check that every setting has the type of its default.

    Raises:
        ValueError: As :func:`as_kind`.
    """
    for field in fields(settings):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if default is not MISSING:
            as_kind(getattr(settings, field.name), default, field.name)


_KINDS = {
    bool: "true or false", int: "of type int", float: "of type float", str: "of type str", tuple: "of type list",
    dict: "of type table",
}  # fmt: skip


def _as_float(value: int, where: str) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"{where} is a number of {len(str(abs(value)))} digits; the largest has 308.") from error
