"""What a user sees of the progress of a command."""

from __future__ import annotations

import io
import sys

import pytest

from cli import progress as module
from cli.progress import counting, progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the program believes to have passed."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_a_line_now_and_then_where_there_is_no_terminal(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress(100) as advance:
        for _ in range(100):
            clock[0] += 0.3
            advance()
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines() == ["34 of 100 images, 10 s", "68 of 100 images, 20 s"]


def test_short_runs_are_silent(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress(9) as advance:
        for _ in range(9):
            clock[0] += 1
            advance()
    assert capsys.readouterr() == ("", "")


def test_nothing_where_stderr_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with progress(1) as advance:
        advance()


def test_work_done_before_counts(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with counting("figure") as counter:
        counter.start(50, 40)
        clock[0] += 12
        counter.advance()
    assert capsys.readouterr().err == "41 of 50 figures, 12 s\n"


def test_of_several_processes_the_first_one_speaks(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with progress(2) as advance:
        clock[0] += 99
        advance()
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress(3, "figure") as advance:
        advance()
    assert "3" in terminal.getvalue() and "figure" in terminal.getvalue() and terminal.getvalue().endswith("\r")
