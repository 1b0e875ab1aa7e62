"""A progress bar on stderr that goes away when it is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(total: int, unit: str = "image") -> Iterator[Callable[[], None]]:
    """Show how many of ``total`` images are done, on a terminal only; call what it gives after each image."""
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, file=sys.stderr, disable=None, leave=False) as bar:

        def advance() -> None:
            bar.update()

        yield advance
