"""Map a function over many images in worker processes, here or on other machines, in order and with flat memory."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from sparsekit.errors import AnnotationError

T = TypeVar("T")
R = TypeVar("R")

#: Items in flight for each worker: enough to keep it busy, few enough to keep memory flat.
_WINDOW = 8


def map_in_order(
    function: Callable[[T], R], items: Iterable[T], workers: int = 1, dask: str | None = None
) -> Iterator[R]:
    """Apply a function to each item, in the order of the items.

    Args:
        function: A top-level function, so that worker processes can import it.
        items: Read only a few ahead of the results.
        workers: Processes; with 1 everything happens in this one.
        dask: Address of a dask scheduler, such as ``tcp://10.0.0.1:8786``, to use instead of processes.

    Yields:
        The results.

    Raises:
        AnnotationError: If no scheduler answers at the address, or dask is not installed.
    """
    if dask is None and workers == 1:
        yield from map(function, items)
        return
    with _dask_pool(dask) if dask else _process_pool(workers) as (pool, num_workers):
        running: deque[Future[R]] = deque()
        try:
            for item in items:
                with _interrupts_held_back():
                    running.append(pool.submit(function, item))
                if len(running) >= num_workers * _WINDOW:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C wait; for ever in processes started inside, which this one ends in order, without a word from them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _process_pool(workers: int) -> Iterator[tuple[Executor, int]]:
    # Spawn: forking a process that has threads, as OpenCV's, can deadlock.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        yield pool, workers


@contextmanager
def _dask_pool(address: str) -> Iterator[tuple[Executor, int]]:
    try:
        from distributed import Client
    except ImportError as error:
        raise AnnotationError("dask is not installed. Install it with: pip install 'sparsekit[dask]'") from error
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise AnnotationError(f"{address}: no dask scheduler answers there ({error}).") from error
    with client, client.get_executor(pure=False) as pool:
        yield pool, max(1, sum(client.ncores().values()))
