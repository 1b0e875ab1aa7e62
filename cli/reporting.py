"""Turn the packages' errors into one line on stderr and an exit code."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from cli.command import Context, is_quiet, is_verbose
from cli.interrupts import interruptible
from data_manifests.errors import DataError, shorten
from data_manifests.terminal import CONTROL, shell_join, shell_quote

T = TypeVar("T")

#: What to do where memory is too little for a network.
NETWORK_MEMORY_ADVICE = (
    "Train with a smaller --batch-size or --crop-size, segment large images with --protocol sliding, or choose "
    "another --device."
)


#: Of an error, a warning or a note, which can hold cells of a stranger's file; the middle of a longer one is left out.
_MOST_LETTERS = 2000


class ReportingGroup(click.Group):
    """A group whose commands report bad data and unusable files as ``Error: ...`` with exit code 1."""

    context_class = Context

    #: What to do where memory is too little.
    memory_advice = "Work on smaller images, or in fewer processes where the command has --workers."

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line as ``click.Group.main`` does, and print errors in colour."""
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            if not standalone_mode:
                raise
            _show_error(error)
            sys.exit(error.exit_code)
        except click.Abort:
            if not standalone_mode:
                raise
            sys.exit("Aborted!")
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the options of the group; without colour where the user wants none (https://no-color.org)."""
        with _closed_pipe_is_no_error():
            return super().make_context(info_name, args, parent, **{"color": _color()} | extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; see the class."""
        if isinstance(sys.stdout, io.TextIOWrapper):  # bytes of a path that are no text come out as they are
            sys.stdout.reconfigure(errors="surrogateescape")
        with interruptible():
            return self._invoke(ctx)

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            with _closed_pipe_is_no_error():
                return super().invoke(ctx)
        except (DataError, OSError, MemoryError, RuntimeError) as error:
            if not (message := self._message_of(error)):
                raise
            if is_verbose():
                traceback.print_exc()
            raise click.ClickException(message) from error

    def _message_of(self, error: Exception) -> str:
        """The line for an error that users meet; empty for others, which are bugs."""
        if isinstance(error, DataError):
            return str(error)
        if isinstance(error, OSError):
            if isinstance(error, NotADirectoryError | FileExistsError) and (part := _no_folder_above(error.filename)):
                what = "a file" if part.is_file() else "a pipe or a device"
                return f"{part}: is {what}, where a folder is needed. Give another path."
            where = f"{error.filename}: " if error.filename else ""
            return f"{where}{error.strerror or error}."
        if isinstance(error, MemoryError):
            return _too_little_memory("This machine", str(error), self.memory_advice)
        return _told_of_torch(error) if isinstance(error, RuntimeError) else ""


def _no_folder_above(path: object) -> Path | None:
    """The part of a path that exists and is no folder, if one is."""
    there = Path(path) if isinstance(path, str) else Path()
    return next((part for part in (there, *there.parents) if part.exists() and not part.is_dir()), None)


def _color() -> bool | None:
    """For ``click.echo``: False if the user wants no colour, None to colour on terminals."""
    return False if os.environ.get("NO_COLOR") else None


def _show_error(error: click.ClickException) -> None:
    """Print an error as click does, with ``Error:`` in colour; the help where no command is given."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error.show()
    message = error.format_message()
    text = io.StringIO()
    error.show(text)  # usage errors come with the usage
    before = text.getvalue().removesuffix(f"Error: {message}\n")
    name = click.style("Error:", fg="red", bold=True)
    click.echo(f"{before.translate(CONTROL)}{name} {_shown(message)}", err=True, color=_color())


def _shown(text: str) -> str:
    """A message of bounded length that may hold a stranger's words."""
    return shorten(text, _MOST_LETTERS).translate(CONTROL)


@contextmanager
def _closed_pipe_is_no_error() -> Iterator[None]:
    """End quietly where the reader of stdout has seen enough, as `head` does."""
    try:
        yield
    except BrokenPipeError:
        try:
            print(flush=True)  # tells stdout from other pipes, such as one to a worker process
        except BrokenPipeError:
            # What Python has yet to flush when it exits goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(0) from None
        raise


def _told_of_torch(error: RuntimeError) -> str:
    """Message for an error of torch that users meet; empty for others."""
    if "torch.distributed" not in sys.modules:  # not imported to look at an error
        return ""
    from agmm.distributed import has_lost_a_rank

    text = str(error)
    if type(error).__name__ == "OutOfMemoryError":
        return _too_little_memory("The GPU", text.partition(". ")[0], NETWORK_MEMORY_ADVICE)
    if "DefaultCPUAllocator" in text:
        why = text.partition("DefaultCPUAllocator: ")[2].partition(". ")[0]
        return _too_little_memory("This machine", why, NETWORK_MEMORY_ADVICE)
    if "DataLoader worker" in text:
        return (
            f"A process that loads images has ended ({text.splitlines()[0].partition('. ')[0]}). Most often memory "
            "is too little: load in fewer processes (--workers 0), or give a container more shared memory (docker run "
            "--shm-size 8g)."
        )
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        cause = getattr(error, "inner_exception", error)
        why = f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}"
        return (
            f"torch.compile cannot compile the network here ({why}). Train without --compile, which "
            "changes the speed alone, or install what it needs: a C++ compiler, and on a GPU Triton."
        )
    return "Another of the processes started together has ended; it says why." if has_lost_a_rank(error) else ""


def _too_little_memory(what: str, why: str, advice: str) -> str:
    return f"{what} has too little memory{f' ({why})' if why else ''}. {advice}"


@contextmanager
def usage_errors() -> Iterator[None]:
    """Report a ``ValueError`` raised inside, where settings are checked, as wrong usage with exit code 2."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(shorten(str(error))) from error


def shown_path(path: object) -> str:
    """A path as commands print it: quoted for a shell where it holds characters that terminals obey."""
    quoted = shell_quote(path)
    return quoted if quoted.startswith("$") else str(path)


def echo(text: object, nl: bool = True) -> None:
    """Print a path or other text on stdout, without characters that terminals obey."""
    click.echo((shown_path(text) if isinstance(text, Path) else str(text)).translate(CONTROL), nl=nl)


def echo_summary(text: object) -> None:
    """Say on stdout what was done, unless the user wants results only."""
    if not is_quiet():
        echo(text)


def echo_next(*words: object) -> None:
    """Print the command that a user most likely wants next, ready to be copied."""
    echo_summary(f"Next: {shell_join(*words)}")


def note(text: str) -> None:
    """Say on stderr what a user should know, unless they want results only."""
    if not is_quiet():
        click.echo(f"Note: {_shown(text)}", err=True)


def warn(text: str) -> None:
    """Say on stderr what is left out."""
    name = click.style("Warning:", fg="yellow", bold=True)
    click.echo(f"{name} {_shown(text)}", err=True)


def warn_of_some(problems: Sequence[str]) -> None:
    """Warn of the first ten problems, and of how many more there are; with -v of all."""
    shown = first_of(problems)
    for problem in shown:
        warn(problem)
    if len(problems) > len(shown):
        warn(f"and {len(problems) - len(shown)} more; -v lists all")


def first_of(items: Sequence[T], most: int = 10) -> Sequence[T]:
    """The first few of many; with -v all."""
    return items if is_verbose() else items[:most]


def echo_json(data: Any) -> None:
    """Print data as JSON on stdout."""
    import json

    click.echo(json.dumps(data, indent=2, ensure_ascii=False))
