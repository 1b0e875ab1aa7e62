"""Map a function over many images in worker processes, in order and with flat memory."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

#: Items in flight for each worker: enough to keep it busy, few enough to keep memory flat.
_WINDOW = 8


def map_in_order(function: Callable[[T], R], items: Iterable[T], workers: int = 1) -> Iterator[R]:
    """Apply a function to each item, in the order of the items.

    Args:
        function: A top-level function, so that worker processes can import it.
        items: Read only a few ahead of the results.
        workers: Processes; with 1 everything happens in this one.

    Yields:
        The results.
    """
    if workers == 1:
        yield from map(function, items)
        return
    # Spawn: forking a process that has threads, as OpenCV's, can deadlock.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        running: deque[Future[R]] = deque()
        try:
            for item in items:
                running.append(pool.submit(function, item))
                if len(running) >= workers * _WINDOW:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
