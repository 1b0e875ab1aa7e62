"""Checks of numbers and settings that scripts pass."""

from __future__ import annotations

import operator
from collections.abc import Iterable


def as_whole_number(name: str, value: object, least: int) -> int:
    """Convert a Python or NumPy integer to int, which JSON can express.

    Args:
        name: Name of the argument, for the error.
        value: The number.
        least: Smallest allowed value.

    Raises:
        ValueError: If the value is not an integer, or too small.

    Example:
        >>> as_whole_number("limit", 3, least=1)
        3
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"{name} must be a whole number, got {value!r}.") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}.")
    return number


def as_tuple(name: str, values: Iterable[object]) -> tuple[object, ...]:
    """Convert a list, generator or other iterable to a tuple.

    Raises:
        ValueError: If it is a single value or a string.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be several values, such as ({values!r},), got {values!r}.")
    return tuple(values)
