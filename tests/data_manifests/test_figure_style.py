"""The figures of both halves look alike."""

from __future__ import annotations

from agmm.report import style
from data_manifests import figure_style


def test_figures_of_annotations_and_of_trainings_have_one_style() -> None:
    assert figure_style.STYLE == style._RC
    assert figure_style.SERIES_COLORS == style.RUN_COLORS
    for name in ("DOTS_PER_INCH", "TEXT_WIDTH", "FONT_SIZE", "INK", "FAINT", "LINE"):
        assert getattr(figure_style, name) == getattr(style, name)
