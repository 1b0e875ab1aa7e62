"""Map a function over many images in worker processes, here or on other machines, in order and with flat memory."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from sparsekit.errors import AnnotationError

T = TypeVar("T")
R = TypeVar("R")

#: Items handed to each process ahead of time: enough to keep it busy while this one is at work, few enough that none
#: waits long for another in the end.
_AHEAD = 4

#: Results that may wait for an earlier one, for each worker: as many as come while a process starts, few enough to keep
#: memory flat.
_WINDOW = 32


def map_in_order(
    function: Callable[[T], R], items: Iterable[T], workers: int = 1, dask: str | None = None
) -> Iterator[R]:
    """Apply a function to each item, in the order of the items.

    Args:
        function: A top-level function, so that worker processes can import it.
        items: Read only a few ahead of the results.
        workers: Processes, this one among them: it works while the others start, and in between handing out items.
        dask: Address of a dask scheduler, such as ``tcp://10.0.0.1:8786``, to use instead of processes.

    Yields:
        The results.

    Raises:
        AnnotationError: If no scheduler answers at the address, dask is not installed, or a worker process is killed.
    """
    if dask is None and workers == 1:
        yield from map(function, items)
        return
    with _dask_pool(dask) if dask else _process_pool(workers - 1) as (pool, others):
        running: deque[Future[R]] = deque()
        try:
            for item in items:
                if dask or sum(not future.done() for future in running) < others * _AHEAD:
                    with _interrupts_held_back():
                        running.append(pool.submit(function, item))
                else:
                    running.append(_done_here(function, item))
                while running and (running[0].done() or len(running) >= (others + 1) * _WINDOW):
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BrokenExecutor as error:
            raise AnnotationError(
                "A worker process was killed, most likely because memory ran out. Give fewer --workers."
            ) from error
        finally:
            for future in running:
                future.cancel()


def _done_here(function: Callable[[T], R], item: T) -> Future[R]:
    """The result, or the error that stands in its place until it is its turn."""
    future: Future[R] = Future()
    try:
        future.set_result(function(item))
    except Exception as error:
        future.set_exception(error)
    return future


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
