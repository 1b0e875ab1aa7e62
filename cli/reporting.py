"""Turn the packages' errors into one line on stderr and an exit code."""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from data_manifests.errors import DataError

#: What to do where memory is too little for a network.
NETWORK_MEMORY_ADVICE = (
    "Train with a smaller --batch-size or --crop-size, segment large images with --protocol sliding, or choose "
    "another --device."
)


class ReportingGroup(click.Group):
    """A group whose commands report bad data and files that cannot be used as ``Error: ...`` with exit code 1."""

    #: What to do where memory is too little.
    memory_advice = "Work on smaller images, or in fewer processes where the command has --workers."

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; see the class."""
        if isinstance(sys.stdout, io.TextIOWrapper):  # bytes of a path that are no text come out as they are
            sys.stdout.reconfigure(errors="surrogateescape")
        try:
            return super().invoke(ctx)
        except DataError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{where}{error.strerror or error}.") from error
        except MemoryError as error:
            raise click.ClickException(_too_little_memory("This machine", str(error), self.memory_advice)) from error
        except RuntimeError as error:
            if not (told := _told_of_torch(error)):
                raise
            raise click.ClickException(told) from error


def _told_of_torch(error: RuntimeError) -> str:
    """What to say of an error of torch's that users meet; nothing of others."""
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
        raise click.UsageError(str(error)) from error


def echo_next(*words: object) -> None:
    """Tell the command that a user most likely wants next, ready to be copied."""
    click.echo(f"Next: {shlex.join(map(str, words))}")


def warn(text: str) -> None:
    """Tell on stderr what is left out."""
    click.echo(f"Warning: {text}", err=True)


def warn_of_some(problems: Sequence[str]) -> None:
    """Tell the first ten of many, and how many more there are."""
    for problem in problems[:10]:
        warn(problem)
    if len(problems) > 10:
        warn(f"and {len(problems) - 10} more")


def echo_json(data: Any) -> None:
    """Print data as JSON on stdout."""
    import json

    click.echo(json.dumps(data, indent=2, ensure_ascii=False))
