"""Values of settings from TOML, JSON or the command line, converted to the types that the settings have."""

from __future__ import annotations

from typing import Any


def as_kind(value: Any, default: Any, where: str) -> Any:
    """Convert an option to the type of its default; whole numbers are accepted as floats.

    Raises:
        ValueError: If it has another type, or is too large for a float.
    """
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return as_float(value, where)
    if type(value) is not type(default):
        kind = "true or false" if isinstance(default, bool) else f"of type {type(default).__name__}"
        raise ValueError(f"{where} must be {kind}, got {value!r}.")
    return value


def as_float(value: int, where: str) -> float:
    """Convert a whole number that was given where a float is expected.

    Raises:
        ValueError: If it is too large for a float.
    """
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"{where} is a number of {len(str(abs(value)))} digits; the largest has 308.") from error
