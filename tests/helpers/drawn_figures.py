"""Figures of manifests in one call."""

from __future__ import annotations

from pathlib import Path

from data_manifests import Manifest
from sparsekit.figures.settings import FigureSettings
from sparsekit.figures.write import draw_figures, plan_figures

DOTS = FigureSettings(dot_size=1)


def draw(manifests: list[Manifest], out: Path, settings: FigureSettings = DOTS, **kwargs: object) -> list[Path]:
    plan = plan_figures(manifests, out, settings, **kwargs)  # type: ignore[arg-type]
    draw_figures(plan)
    return [figure.path for figure in plan.figures]
