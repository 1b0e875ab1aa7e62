"""Map a function over many images in worker processes, here or on other machines, in order and in constant memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from data_manifests.errors import DataError

T = TypeVar("T")
R = TypeVar("R")

#: CPU seconds that this process took to start and to import what a worker imports too, so a worker will take about as
#: long; a session that was at work before counts as slow.
_START_UP = min(time.process_time(), 3.0)

#: Other processes start if the work left takes this many times longer. They also import what only the work needs, and
#: hand over results, so below they might save nothing.
_PAYS_OFF = 6

#: Items queued per process: enough to keep it busy while this process works, few enough that all finish together.
_AHEAD = 4

#: Pixels that a process gets at once, and those that each image counts in addition: handing over a small image takes
#: longer than checking it.
_PIXELS_AT_ONCE, _PIXELS_EACH = 1 << 20, 1 << 14

#: Results per worker that may wait for an earlier one: enough to bridge the start of a process, few enough to keep
#: memory constant.
_WINDOW = 32


def map_in_order(
    function: Callable[[T], R],
    items: Iterable[T],
    workers: int | None = 1,
    dask: str | None = None,
    *,
    total: int | None = None,
) -> Iterator[R]:
    """Apply a function to each item, in the order of the items.

    Args:
        function: A top-level function, so that worker processes can import it.
        items: Read only slightly ahead of the results.
        workers: Number of processes, including this one, which also works while others start and between dispatches.
            None for as many as save time: this process alone, until the first items show that enough work is left.
        dask: Address of a dask scheduler to use instead of processes, such as ``tcp://10.0.0.1:8786``.
        total: Number of items, at most, where ``workers`` is None and the items have no length.

    Yields:
        The results.

    Raises:
        DataError: If no scheduler responds at the address, dask is not installed, or a worker process is killed.
    """
    if workers is None and dask is None:
        total = len(items) if isinstance(items, Sized) else total or 0
        items = iter(items)
        workers = yield from _alone(function, items, total)
    if workers == 1 and dask is None:
        yield from map(function, items)
        return
    with _dask_pool(dask) if dask else _process_pool((workers or 1) - 1) as (pool, others):
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
            raise DataError(
                "A worker process was killed, most likely because memory ran out. Give fewer --workers."
            ) from error
        finally:
            for future in running:
                future.cancel()


def _alone(function: Callable[[T], R], items: Iterator[T], total: int) -> Generator[R, None, int]:
    """Work without other processes as long as they would save no time.

    Returns:
        Number of processes, including this one, that should do the rest.
    """
    most = available_cpus()
    took = 0.0
    for done, item in enumerate(items):
        start = time.perf_counter()
        result = function(item)
        if done:  # the first item imports and caches what later ones need
            took += time.perf_counter() - start
        yield result
        if done > 1 and (worth := took / done * (total - done - 1) / _START_UP) >= _PAYS_OFF:
            return min(most, int(worth))
    return 1


def available_cpus() -> int:
    """Number of processors that this process may use; a container's quota counts."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no Linux, or no quota
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cpus = min(cpus, max(1, int(quota) // int(period)))
    return cpus


def batches(items: Iterable[tuple[T, int]]) -> Iterator[list[T]]:
    """Join items that are too little work by themselves.

    Args:
        items: Each with its number of pixels; 0 or less if none is read.

    Yields:
        Lists of at least one item, in order.
    """
    batch, total = list[T](), 0
    for item, num_pixels in items:
        batch.append(item)
        total += max(num_pixels, 0) + _PIXELS_EACH
        if total >= _PIXELS_AT_ONCE:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


def _done_here(function: Callable[[T], R], item: T) -> Future[R]:
    """Run the function here; the future holds its result or its error until its turn."""
    future: Future[R] = Future()
    try:
        future.set_result(function(item))
    except Exception as error:
        future.set_exception(error)
    return future


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Defer Ctrl-C; processes started inside ignore it, since this process ends them without any output from them."""
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
    # Spawn, because forking a process with threads, such as OpenCV's, can deadlock.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent) as pool:
        yield pool, workers


def _end_with_parent() -> None:
    """End this worker when its parent process ends for any reason; otherwise it would wait for its next item forever.

    The operating system closes the pipe between them, so the worker notices at once on every platform.
    """
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def _dask_pool(address: str) -> Iterator[tuple[Executor, int]]:
    try:
        from distributed import Client
    except ImportError as error:
        raise DataError("dask is not installed. Install it with: pip install 'sparsekit-agmm[dask]'") from error
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{address}: no dask scheduler responds at this address ({error}).") from error
    with client, client.get_executor(pure=False) as pool:
        yield pool, max(1, sum(client.ncores().values()))
