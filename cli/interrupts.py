"""End on Ctrl-C (SIGINT) and SIGTERM within a second, with one line and the exit code 128 + signal.

Nothing here but Python's own light modules: it stands ready before the heavy ones are imported. A command gets a short
time to clean up; whatever it leaves after that is what a kill leaves, which every command copes with when it is run
again.
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

#: For cleaning up, before the process ends as it is.
_GRACE_SECONDS = 0.7

_INTERRUPTED = "Interrupted; run the same command to continue"


class _State:
    """Of this process: which signal came, whether a command is at work, and what it says when it is interrupted."""

    received: int | None = None
    at_work = False
    has_said = False
    speaks = threading.Lock()
    line: Callable[[], str] = staticmethod(lambda: _INTERRUPTED)


def listen() -> None:
    """Take over Ctrl-C and SIGTERM, unless the process was started to ignore them, as by ``nohup``."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _receive)
    sys.warnoptions.append("ignore:resource_tracker")  # it finds what pools of processes had no time to clear away
    if os.name != "posix":  # no pipe can wake a thread there, nor is a process forked
        return
    # Python's handlers wait for the end of a long call into C, such as a backward pass; a thread does not.
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=_leave_to_parent)
    threading.Thread(target=_end_in_time, args=(reader,), daemon=True).start()


def say_when_interrupted(line: Callable[[], str]) -> None:
    """Set what the command that is at work says when it is interrupted, such as how to go on with a run."""
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
        # Modules of C and ended processes turn the interruption into errors of their own.
        if _State.received is None and not isinstance(error, KeyboardInterrupt):
            raise
        if _State.received is not None:  # not by SystemExit: after code run by exec, Python then ends by SIGINT itself
            _end()
        _say()
        raise SystemExit(_exit_code()) from None
    finally:
        _State.at_work = False


def _receive(number: int, _frame: FrameType | None) -> None:
    if _State.received is not None:  # torchrun and impatient users send more than one
        return
    _State.received = number
    sys.unraisablehook = threading.excepthook = _pass_over
    if not _State.at_work:
        _end()
    raise KeyboardInterrupt


def _pass_over(_: object) -> None:
    """In place of a traceback from where nothing can catch the interruption."""


def _end_in_time(reader: int) -> None:
    """Wait for a signal in a thread of its own, and end the process if its command does not."""
    while not {signal.SIGINT, signal.SIGTERM} & {*(received := os.read(reader, 64))}:
        pass
    threading.Event().wait(_GRACE_SECONDS)
    if _State.received is None:
        _State.received = next(number for number in received if number in (signal.SIGINT, signal.SIGTERM))
    _end()


def _leave_to_parent() -> None:
    """In a forked process, whose parent ends it."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end() -> None:
    """End this process and those it has started, at once."""
    _say()
    if processes := sys.modules.get("multiprocessing"):
        for child in processes.active_children():
            child.kill()
    os._exit(_exit_code())


def _say() -> None:
    with _State.speaks:
        if _State.has_said or not sys.stderr or not is_first_process():  # no stderr at all where it is closed
            return
        _State.has_said = True
        begin = "\n" if sys.stderr.isatty() else ""  # below ^C and a progress bar
        print(f"{begin}{_State.line()}", file=sys.stderr, flush=True)


def _exit_code() -> int:
    return 128 + (_State.received or signal.SIGINT)
