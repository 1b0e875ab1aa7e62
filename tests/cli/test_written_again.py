"""Words and numbers that commands write again, so that ``--help`` need not import the library, are the library's."""

from __future__ import annotations

import re
from typing import get_args, get_type_hints

import click
import pytest

from cli.sparsekit_cli import main
from sparsekit.areas import MarkKind, RegionMarkSettings
from sparsekit.audit.score import DEFAULT_MAX_SIZE, METHODS
from sparsekit.clicks.draw import ClickSettings
from sparsekit.clicks.strategies import STRATEGIES
from sparsekit.figures.write import FORMATS, FigureSettings
from sparsekit.scribbles.trace import DEFAULT_LENGTH, ScribbleSettings, ScribbleUnit


def option(command: str, name: str) -> click.Option:
    (found,) = (p for p in main.commands[command].params if p.name == name)
    assert isinstance(found, click.Option)
    return found


@pytest.mark.parametrize(
    ("command", "name", "words"),
    [
        ("points", "strategy", STRATEGIES),
        ("scribbles", "per", get_args(ScribbleUnit)),
        ("marks", "kind", get_args(MarkKind)),
        ("marks", "per", get_args(get_type_hints(RegionMarkSettings)["per"])),
        ("score", "methods", METHODS),
        ("render", "file_format", FORMATS),
    ],
)
def test_choices(command: str, name: str, words: object) -> None:
    choice = option(command, name).type
    assert isinstance(choice, click.Choice) and list(choice.choices) == list(words)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("command", "settings", "names"),
    [
        ("points", ClickSettings(), ["strategy", "margin", "jitter", "wrong", "min_distance"]),
        ("scribbles", ScribbleSettings(), ["per", "strokes", "width", "min_area", "wobble", "tolerance"]),
        ("marks", RegionMarkSettings(), ["min_area", "margin"]),
        ("render", FigureSettings(), ["mask_opacity", "max_width", "file_format"]),
    ],
)
def test_defaults(command: str, settings: object, names: list[str]) -> None:
    for name in names:
        assert told_default(command, name) == str(getattr(settings, name)).removesuffix(".0"), name


def test_defaults_outside_of_settings() -> None:
    assert told_default("scribbles", "shares") == str(DEFAULT_LENGTH)
    assert told_default("score", "max_size") == str(DEFAULT_MAX_SIZE)


def told_default(command: str, name: str) -> str:
    """The default of an option, or what its help says the library takes."""
    told = option(command, name)
    in_help = re.search(r"\[default: ([^]]+)\]", told.help or "")
    return in_help[1] if in_help else str(told.default).removesuffix(".0")
