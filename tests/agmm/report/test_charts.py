from __future__ import annotations

import pytest

from agmm.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart, Line, make_charts


def line(*points: tuple[int, float]) -> Line:
    return Line("a", 0, "solid", points)


def make_chart(title: str, unit: str, lines: list[Line]) -> Chart | None:
    return next(iter(make_charts([(title, unit, lines)])), None)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((0.0, 14.9), ["0", "5", "10", "15"]),
        ((0.2, 0.7), ["0.0", "0.2", "0.4", "0.6", "0.8"]),
        ((-3.0, 2.0), ["-3", "-2", "-1", "0", "1", "2"]),
        ((0.0, 0.0), ["0.0", "0.2"]),
    ],
)
def test_ticks_are_round_and_hold_all_values(values: tuple[float, ...], labels: list[str]) -> None:
    chart = make_chart("t", "", [line(*enumerate(values, start=1))])
    assert chart is not None and [label for _, label in chart.ticks] == labels
    heights = [y for y, _ in chart.ticks]
    assert heights[0] == HEIGHT - BOTTOM and heights[-1] == pytest.approx(TOP)
    assert all(TOP <= float(point.split(",")[1]) <= HEIGHT - BOTTOM for point in chart.path(chart.lines[0]).split())


def test_lines_span_the_chart_and_gaps_stay_gaps() -> None:
    chart = make_chart("t", " %", [line((1, 0.0), (5, 10.0)), line((3, 5.0)), line()])
    assert chart is not None and len(chart.lines) == 2
    assert chart.path(chart.lines[0]) == f"{LEFT:.1f},{HEIGHT - BOTTOM:.1f} {WIDTH - RIGHT:.1f},{TOP:.1f}"
    data = chart.to_json()
    assert data["epochs"] == [1, 3, 5] and data["values"] == [[0.0, None, 10.0], [None, 5.0, None]]
    assert [epoch for _, epoch in chart.epoch_ticks] == [1, 2, 3, 4, 5]


def test_one_epoch_is_a_point_in_the_middle() -> None:
    chart = make_chart("t", "", [line((7, 2.0))])
    assert chart is not None and chart.epoch_ticks == [((LEFT + WIDTH - RIGHT) / 2, 7)]


def test_many_epochs_get_few_marks() -> None:
    chart = make_chart("t", "", [line(*((epoch, 1.0) for epoch in range(1, 241)))])
    assert chart is not None and [epoch for _, epoch in chart.epoch_ticks] == [50, 100, 150, 200]


def test_no_chart_without_values() -> None:
    assert make_chart("t", "", [line()]) is None


def test_equal_epochs_stand_below_each_other() -> None:
    charts = make_charts(
        [("a", "", [line((2, 1.0), (6, 2.0))]), ("b", "", [line()]), ("c", "", [line((1, 9.0), (3, 1.0))])]
    )
    assert [chart.title for chart in charts] == ["a", "c"]
    first, second = charts
    assert first.epoch_ticks == second.epoch_ticks and [epoch for _, epoch in first.epoch_ticks] == [1, 2, 3, 4, 5, 6]
    place = {epoch: x for x, epoch in first.epoch_ticks}
    assert first.path(first.lines[0]).startswith(f"{place[2]:.1f},") and place[1] == LEFT and place[6] == WIDTH - RIGHT
    assert [point.split(",")[0] for point in second.path(second.lines[0]).split()] == [
        f"{place[1]:.1f}",
        f"{place[3]:.1f}",
    ]
    assert second.to_json()["x"] == [round(place[1], 1), round(place[3], 1)]
