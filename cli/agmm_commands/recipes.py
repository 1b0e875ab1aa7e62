"""``agmm recipes``."""

from __future__ import annotations

import tomllib

import click

from agmm.config.recipes import DEFAULT_RECIPE, recipe_names, recipe_summary, recipe_text
from cli.command import command
from cli.completion import complete_recipe
from cli.options import json_option
from cli.reporting import echo, echo_json, usage_errors


@command(short_help="List the recipes, or print one.")
@click.argument("name", required=False, shell_complete=complete_recipe)
@json_option
def recipes(name: str | None, as_json: bool) -> None:
    """List the recipes, or print the recipe NAME as TOML, with notes and scores.

    To change a recipe, save it to a file, edit it, and train with `agmm train MANIFEST --config FILE`.
    """
    if name is None and as_json:
        echo_json([{"name": known, "summary": recipe_summary(known)} for known in recipe_names()])
        return
    if name is None:
        for known in recipe_names():
            default = " [default]" if known == DEFAULT_RECIPE else ""
            echo(f"{known:16} {recipe_summary(known)}{default}")
        return
    with usage_errors():
        text = recipe_text(name)
    if as_json:
        echo_json(tomllib.loads(text))
    else:
        echo(text, nl=False)
