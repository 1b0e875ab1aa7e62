"""How every command looks: options in groups, headings in bold, a short line in the list of commands, -q and -v."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])

_VERBOSITY = "cli.verbosity"

#: Options with longer names have their help on the next line; as in click.
_WIDEST_NAME = 30


class _Formatter(click.HelpFormatter):
    """Writes headings in bold, which ``click.echo`` leaves out where there is no terminal."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """See ``click.HelpFormatter``."""
        super().write_usage(prog, args, prefix or click.style("Usage: ", bold=True))

    def write_heading(self, heading: str) -> None:
        """See ``click.HelpFormatter``."""
        super().write_heading(click.style(heading, bold=True))


class Context(click.Context):
    """The context of all commands and groups."""

    formatter_class = _Formatter


class Command(click.Command):
    """A command whose --help lists options in groups (see ``option_group``), with -q and -v."""

    context_class = Context

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += [
            click.Option(
                ["-q", "--quiet"], is_flag=True, expose_value=False, callback=partial(_set_verbosity, -1),
                help="Print results, warnings and errors only.",
            ),
            click.Option(
                ["-v", "--verbose"], is_flag=True, expose_value=False, callback=partial(_set_verbosity, 1),
                help="List everything, not only the first few; show tracebacks.",
            ),
        ]  # fmt: skip

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups in the order of their first options, then the options of no group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record and isinstance(param, click.Option):
                groups.setdefault(getattr(param, "heading", ""), []).append(record)
        width = min(_WIDEST_NAME, max(len(name) for records in groups.values() for name, _ in records))
        groups = {heading: [(f"{name:{width}}", text) for name, text in records] for heading, records in groups.items()}
        ungrouped = groups.pop("", [])
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)
        with formatter.section("Other options" if groups else "Options"):
            formatter.write_dl(ungrouped)


#: Decorates a function as ``click.command`` does; ``short_help`` is its line in the list of commands.
command = partial(click.command, cls=Command)


def option_group(heading: str, *options: Callable[[Any], Any]) -> Callable[[_F], _F]:
    """Give a command several options, under a heading of their own in its --help.

    Args:
        heading: Title of the group, without a colon.
        options: Decorators as ``click.option`` makes them, in the order of --help.
    """

    def decorate(function: _F) -> _F:
        for option in reversed(options):
            option(function)
            params: list[click.Parameter] = function.__click_params__  # type: ignore[attr-defined]
            params[-1].heading = heading  # type: ignore[attr-defined]
        return function

    return decorate


def _set_verbosity(level: int, ctx: click.Context, _: click.Parameter, is_given: bool) -> None:
    if is_given:
        ctx.meta[_VERBOSITY] = level


def _verbosity() -> int:
    ctx = click.get_current_context(silent=True)
    return int(ctx.meta.get(_VERBOSITY, 0)) if ctx else 0


def is_quiet() -> bool:
    """Whether the user gave ``--quiet``."""
    return _verbosity() < 0


def is_verbose() -> bool:
    """Whether the user gave ``--verbose``."""
    return _verbosity() > 0
