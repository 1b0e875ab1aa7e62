"""Names that the shell completes where an option takes more than a fixed choice."""

from __future__ import annotations

import click

from agmm.config.recipes import load_config, recipe_names

_MOST = 100


def complete_recipe(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of recipes."""
    return [name for name in recipe_names() if name.startswith(incomplete)]


def complete_encoder(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The encoders of the recipes; from the second letter on, also those that timm has weights for."""
    known = sorted({load_config(name).encoder for name in recipe_names()})
    names = [name for name in known if name.startswith(incomplete)]
    if len(incomplete) < 2:
        return names
    try:
        import timm  # takes some seconds, with torch
    except ImportError:
        return names
    return [*names, *[name for name in timm.list_pretrained(f"{incomplete}*") if name not in names]][:_MOST]
