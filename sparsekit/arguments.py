"""Numbers and settings as scripts hand them over."""

from __future__ import annotations

import operator
from collections.abc import Iterable


def as_whole_number(name: str, value: object, least: int) -> int:
    """An int, of NumPy's integers too, which JSON cannot express.

    Args:
        name: What it is called in the error.
        value: The number.
        least: The smallest that is allowed.

    Raises:
        ValueError: If it is no whole number, or smaller.

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
    """What was given as a list, generator or tuple.

    Raises:
        ValueError: If it is a single value or a text.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be several values, such as ({values!r},), got {values!r}.")
    return tuple(values)
