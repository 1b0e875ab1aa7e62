"""End on Ctrl-C (SIGINT) and SIGTERM within a second, with one line and the exit code 128 + signal.

Imports only light modules of the standard library, so that it is active before heavy imports. A command gets a short
time to clean up; after that it leaves what a kill leaves, which every command handles when it is run again.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from cli.processes import is_first_process

#: Time for cleaning up before the process is ended.
_GRACE_SECONDS = 0.7

_INTERRUPTED = "Interrupted; run the same command to continue"


class _State:
    """State of this process: the signal received, whether a command is running, and its message on interruption."""

    received: int | None = None
    at_work = False
    has_said = False
    speaks = threading.Lock()
    line: Callable[[], str] = staticmethod(lambda: _INTERRUPTED)


def listen() -> None:
    """Handle Ctrl-C and SIGTERM, unless the process was started to ignore them, as with ``nohup``."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _receive)
    sys.warnoptions.append("ignore:resource_tracker")  # reports what process pools had no time to clean up
    if os.name != "posix":  # there, no pipe can wake a thread, and processes are not forked
        return
    # Python's handlers wait for long C calls, such as a backward pass, to return; a thread does not.
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=_leave_to_parent)
    threading.Thread(target=_end_in_time, args=(reader,), daemon=True).start()


def say_when_interrupted(line: Callable[[], str]) -> None:
    """Set the message of the running command on interruption, such as how to resume a run."""
    _State.line = staticmethod(line)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let a command clean up when it is interrupted, then end the process.

    Raises:
        SystemExit: After a ``KeyboardInterrupt`` without a signal of :func:`listen`.
    """
    _State.line, _State.has_said = staticmethod(lambda: _INTERRUPTED), False
    _State.at_work = True
    try:
        yield
    except BaseException as error:
        # C modules and ended processes turn the interruption into their own errors.
        if _State.received is None and not isinstance(error, KeyboardInterrupt):
            raise
        if _State.received is not None:  # not with SystemExit: after exec'd code, Python then ends itself with SIGINT
            _end()
        _say()
        raise SystemExit(_exit_code()) from None
    finally:
        _State.at_work = False


def _receive(number: int, _frame: FrameType | None) -> None:
    if _State.received is not None:  # torchrun and impatient users send several
        return
    _State.received = number
    sys.unraisablehook = threading.excepthook = _pass_over
    if not _State.at_work:
        _end()
    raise KeyboardInterrupt


def _pass_over(_: object) -> None:
    """Replaces the traceback where nothing can catch the interruption."""


def _end_in_time(reader: int) -> None:
    """Wait for a signal in a separate thread, and end the process if its command does not."""
    while not {signal.SIGINT, signal.SIGTERM} & {*(received := os.read(reader, 64))}:
        pass
    threading.Event().wait(_GRACE_SECONDS)
    if _State.received is None:
        _State.received = next(number for number in received if number in (signal.SIGINT, signal.SIGTERM))
    _end()


def _leave_to_parent() -> None:
    """Reset signals in a forked process; its parent ends it."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end() -> None:
    """End this process and its children immediately."""
    _say()
    if processes := sys.modules.get("multiprocessing"):
        for child in processes.active_children():
            child.kill()
    os._exit(_exit_code())


def _say() -> None:
    with _State.speaks:
        if _State.has_said or not sys.stderr or not is_first_process():  # stderr is None if closed
            return
        _State.has_said = True
        begin = "\n" if sys.stderr.isatty() else ""  # below ^C and a progress bar
        print(f"{begin}{_State.line()}", file=sys.stderr, flush=True)


def _exit_code() -> int:
    return 128 + (_State.received or signal.SIGINT)
