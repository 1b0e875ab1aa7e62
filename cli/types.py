"""The kinds of values that options take."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from data_manifests.files.paths import as_path, is_remote

if TYPE_CHECKING:
    _PairType = click.ParamType[tuple[int, int]]
    _TupleType = click.ParamType[tuple[Any, ...]]
    _ChoiceType = click.Choice[str]
else:  # generic from click 8.4 on
    _PairType = _TupleType = click.ParamType
    _ChoiceType = click.Choice


class Choice(_ChoiceType):
    """One of several words; a misspelt one gets the word that was probably meant."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """See ``click.Choice``."""
        near = difflib.get_close_matches(str(value).lower(), self.choices, 1)
        meant = f" Did you mean '{near[0]}'?" if near else ""
        return super().get_invalid_choice_message(value, ctx) + meant


class IntRange(click.IntRange):
    """A range of whole numbers, shown as N."""

    name = "whole number"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """See ``click.ParamType``."""
        return "N"


class FloatRange(click.FloatRange):
    """A range of numbers, shown as X; "nan" is not in it."""

    name = "number"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """See ``click.ParamType``."""
        return "X"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See ``click.ParamType``."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{number} is not in the range {self._describe_range()}.", param, ctx)
        return number


class WorkersType(IntRange):
    """Reads a number of processes, or ``auto`` as None."""

    def __init__(self) -> None:
        super().__init__(1, 1024)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """See ``click.ParamType``."""
        return "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See ``click.ParamType``."""
        return None if value == "auto" else super().convert(value, param, ctx)


class SizeType(_PairType):
    """Reads ``1024x512`` as (1024, 512)."""

    def __init__(self, name: str = "WIDTHxHEIGHT", example: str = "512x256", most: int | None = None) -> None:
        self.name = name
        self._example = example
        self._most = most

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """See ``click.ParamType``."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """See ``click.ParamType``."""
        match = re.fullmatch(r"(\d{1,99})[xX](\d{1,99})", value)
        size = (int(match[1]), int(match[2])) if match else (0, 0)
        if min(size) < 1 or (self._most and max(size) > self._most):
            limit = f", each at most {self._most}" if self._most else ""
            self.fail(f"expected {self.name} such as {self._example}{limit}, got '{value}'.", param, ctx)
        return size


class ShardType(_PairType):
    """Reads ``3/16`` as (3, 16)."""

    name = "i/n"
    most = 100_000  # each shard looks for the journals of all

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """See ``click.ParamType``."""
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", value)
        if match and 1 <= int(match[1]) <= int(match[2]) <= self.most:
            return int(match[1]), int(match[2])
        self.fail(f"expected i/n such as 3/16, with 1 <= i <= n <= {self.most}, got '{value}'.", param, ctx)


class BandsType(_TupleType):
    """Reads ``all``, or ``1,2,5`` as (1, 2, 5)."""

    name = "all or N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See ``click.ParamType``."""
        if value == "all":
            return value
        if re.fullmatch(r"[1-9]\d{0,5}(,[1-9]\d{0,5})*", value):
            return tuple(map(int, value.split(",")))
        self.fail(f"expected all, or numbers of bands from 1 on such as 1,2,5, got '{value}'.", param, ctx)


class PathType(click.Path):
    """Reads a path, or the URL of an object store; see ``as_path``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See ``click.ParamType``."""
        if value == "":  # would be the working folder, which nobody means who quotes a variable
            self.fail("the path is empty; is a variable not set?", param, ctx)
        return as_path(value) if isinstance(value, str) else value


class LocalPathType(PathType):
    """Reads a path of this machine, for what no object store can hold or hand out."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See ``click.ParamType``."""
        path = super().convert(value, param, ctx)
        if is_remote(path):
            self.fail(f"{value} is a URL; only a path of this machine will do here.", param, ctx)
        return path


class _ListType(_TupleType):
    """Reads ``20,50,100`` as a tuple."""

    def __init__(self, item: click.ParamType[Any]) -> None:
        self.name = f"list of {item.name}"
        self._item = item

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """See ``click.ParamType``."""
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(self._item.convert(part.strip(), param, ctx) for part in parts)


def list_option(
    *names: str, type: click.ParamType[Any], metavar: str, help: str, default: Sequence[str] = ()
) -> Callable[[Any], Any]:
    """An option of several values: given once with commas, several times, or both.

    Args:
        names: As for ``click.option``.
        type: What each value is.
        metavar: How the help shows one value.
        help: Its line of help.
        default: Values where the user gives none.
    """
    shown = f"  [default: {','.join(default)}]" if default else ""
    return click.option(
        *names, type=_ListType(type), metavar=f"{metavar},...", multiple=True, callback=_flattened, help=help + shown,
        default=[",".join(default)] if default else None,
    )  # fmt: skip


def _flattened(_: click.Context, __: click.Parameter, values: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(value for several in values for value in several)
