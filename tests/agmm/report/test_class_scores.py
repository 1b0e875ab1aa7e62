from __future__ import annotations

import pytest

from agmm.report.class_scores import ScoreLine, score_lines
from tests.agmm.conftest import tiny_label_space

SPACE = tiny_label_space(2)


def record(*iou: float | None) -> dict[str, object]:
    return {"classes": [{"iou": value} for value in iou], "miou": 0.5}


def test_lines_are_classes_and_then_their_mean() -> None:
    lines = score_lines([record(0.25, None), None], [{"c0": 40.0, "mIoU": 41.0}, {}], SPACE)
    assert [line.name for line in lines] == ["c0", "c1", "mIoU"]
    assert [line.values for line in lines] == [(25.0, None), (None, None), (50.0, None)]
    assert [line.published for line in lines] == [(40.0, None), (None, None), (41.0, None)]
    assert [line.color is None for line in lines] == [False, False, True]


@pytest.mark.parametrize(
    ("values", "best", "gain"),
    [
        ((1.0, 3.0), 3.0, 2.0), ((3.0, 1.0), 3.0, -2.0), ((1.0,), None, None), ((None, 1.0), None, None),
        ((1.01, 1.02), None, 0.0), ((1.0, 2.0, None), 2.0, None), ((0.0, 0.0), None, 0.0),
        ((0.66, 0.64), 0.7, pytest.approx(-0.1)), ((7.349, 7.351), 7.4, pytest.approx(0.1)),
        ((25.71, 25.74, 25.6), 25.7, None),
    ],
)  # fmt: skip
def test_the_best_is_named_only_where_the_numbers_shown_differ(
    values: tuple[float | None, ...], best: float | None, gain: float | None
) -> None:
    line = ScoreLine("a", None, values, ())
    assert line.best == best and line.gain == gain
