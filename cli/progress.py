"""Progress on stderr: a transient bar on a terminal, otherwise an occasional line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import click

from cli.command import is_quiet
from cli.processes import is_first_process
from data_manifests.errors import counted

#: Interval between two lines if stderr is not a terminal.
SECONDS_BETWEEN_LINES = 10.0


class Counter(Protocol):
    """Counts finished items."""

    def start(self, total: int, done: int = 0) -> None:
        """Set the total and the number already done."""

    def advance(self) -> None:
        """Count one more."""


@contextmanager
def progress(total: int, unit: str = "image") -> Iterator[Callable[[], None]]:
    """Show progress over ``total`` images; call the yielded function after each image."""
    with counting(unit) as counter:
        counter.start(total)
        yield counter.advance


@contextmanager
def counting(unit: str = "image") -> Iterator[Counter]:
    """Show progress over images whose number is not yet known; see ``Counter``."""
    if is_quiet() or not (sys.stderr and sys.stderr.isatty()):  # None if it is closed
        yield _Lines(unit)
        return
    bar = _Bar(unit)
    try:
        yield bar
    finally:
        bar.close()


class _Bar:
    """A bar that appears once the number of items is known."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._bar: Any = None

    def start(self, total: int, done: int = 0) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=total, initial=done, unit=self._unit, file=sys.stderr, leave=False)

    def advance(self) -> None:
        self._bar.update()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class _Lines:
    """Progress for logs: silent in short runs, at most one line every few seconds."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._total = self._done = 0
        self._started = self._said = time.monotonic()
        self._speaks = is_first_process() and not is_quiet()

    def start(self, total: int, done: int = 0) -> None:
        self._total, self._done = total, done

    def advance(self) -> None:
        self._done += 1
        now = time.monotonic()
        if self._speaks and now - self._said >= SECONDS_BETWEEN_LINES:
            self._said = now
            click.echo(f"{self._done} of {counted(self._total, self._unit)}, {now - self._started:.0f} s", err=True)
