"""``agmm recipes``."""

from __future__ import annotations

import click

from cli.command import command
from cli.reporting import usage_errors


@command(short_help="List the recipes, or print one.")
@click.argument("name", required=False)
def recipes(name: str | None) -> None:
    """List the recipes, or print the TOML of the recipe NAME with its notes and scores, own or published.

    Save one as a file, change it, and train with `agmm train MANIFEST --config FILE`.
    """
    from agmm.config.recipes import DEFAULT_RECIPE, recipe_names, recipe_summary, recipe_text

    if name is None:
        for known in recipe_names():
            default = " [default]" if known == DEFAULT_RECIPE else ""
            click.echo(f"{known:16} {recipe_summary(known)}{default}")
        return
    with usage_errors():
        click.echo(recipe_text(name), nl=False)
