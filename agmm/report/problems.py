"""Runs that cannot be shown raise an error, or are reported and omitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from agmm.errors import TrainingError

#: Called with a message for each run that is omitted; None if such a run is an error.
OnProblem = Callable[[str], None] | None

_T = TypeVar("_T")
_R = TypeVar("_R")


def valid_results(things: Sequence[_T], make: Callable[[_T], _R], on_problem: OnProblem) -> dict[int, _R]:
    """Call ``make`` on each thing and return the results by index, without those for which it raises.

    Raises:
        TrainingError: The first error, if ``on_problem`` is None or no result is left.
        OSError: The same.
    """
    made: dict[int, _R] = {}
    failed: list[TrainingError | OSError] = []
    for number, thing in enumerate(things):
        try:
            made[number] = make(thing)
        except (TrainingError, OSError) as error:
            if on_problem is None:
                raise
            failed.append(error)
    if failed and not made:
        raise failed[0]
    if on_problem is not None:
        for why in failed:
            on_problem(str(why))
    return made
