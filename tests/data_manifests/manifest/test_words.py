"""Annotations in words, also where a manifest was edited by hand."""

from __future__ import annotations

import pytest

from data_manifests import known_label_space
from data_manifests.manifest import words
from data_manifests.manifest.schema import ManifestInfo
from data_manifests.manifest.words import annotation_words

CLASSES = known_label_space("camvid")
ONE_CLICK = {"clicks_per_class": 1}


def of(command, settings):
    return annotation_words(ManifestInfo(CLASSES, command=command, settings=settings))


@pytest.mark.parametrize(
    ("command", "settings", "expected"),
    [
        ("points", {"clicks_per_image": 20, "strategy": "uniform"}, "20 clicks"),
        ("points", {"clicks_per_image": 1, "strategy": "uncertain"}, "1 click, uncertain"),
        ("points", {"minutes": 2.5}, "clicks in 2.5 min per image"),
        ("points", {}, "points"),
        ("scribbles", {"length": 0.5, "minutes": 1}, "scribbles in 1 min per image, 50 % length"),
        ("scribbles", {"length": 0.3, "per": "image", "strokes": 4}, "scribbles, 30 % length, 4 per image"),
        (
            "scribbles",
            {"length": 0.3, "per": "class", "sloppiness": 1},
            "scribbles, 30 % length, one per class, sloppy",
        ),
        ("marks", {"kind": "block", "share": 0.1}, "blocks, 10 % of each region"),
        ("merge", {"way": "vote", "sources": [1, 2, 3]}, "vote of 3 annotations"),
        (
            "grow",
            {"method": "a", "source_command": "points", "source_settings": ONE_CLICK},
            "1 click per class grown by a",
        ),
        (
            "points",
            {"minutes": 1, "source_command": "scribbles", "source_settings": {"length": 0.5}},
            "scribbles, 50 % length + clicks in 1 min per image",
        ),
        (
            "scribbles",
            {"length": 0.5, "source_command": "points", "source_settings": ONE_CLICK},
            "1 click per class + scribbles, 50 % length",
        ),
        ("points", {"clicks_per_class": 4, "clicks_added": 3, "source_command": "points"}, "4 clicks per class"),
        ("pseudo-labels", {"source_command": "points", "source_settings": ONE_CLICK}, "pseudo-labels"),
        ("", {}, ""),
    ],
)
def test_commands_and_settings(command, settings, expected):
    assert of(command, settings) == expected


def test_many_rounds_of_added_clicks():
    made, command = {"length": 0.3}, "scribbles"
    for _ in range(900):
        made = {"clicks_added": 1, "source_command": command, "source_settings": made}
        command = "points"
    assert of(command, made) == "scribbles, 30 % length" + 900 * " + 1 click"


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        ("points", {"minutes": 10**400}), ("points", {"minutes": "2"}), ("points", {"minutes": [2]}),
        ("points", {"clicks_per_class": 10**5000}), ("points", {"clicks_per_image": 1, "strategy": []}),
        ("points", {"clicks_added": 1, "source_settings": [1]}), ("points", {"clicks_added": {}}),
        ("scribbles", {"length": 10**400}), ("scribbles", {"length": 0.5, "per": {}}), ("marks", {"kind": []}),
        ("merge", {"way": 1, "sources": [1]}), ("grow", {"source_command": {}}), ("grow", {"source_settings": []}),
    ],
)  # fmt: skip
def test_settings_that_no_command_writes_leave_the_command(command, settings):
    assert of(command, settings) == command


def test_a_programming_error_is_not_swallowed(monkeypatch):
    def broken(made):
        raise TypeError("a bug")

    monkeypatch.setattr(words, "_click_words", broken)
    with pytest.raises(TypeError, match="a bug"):
        of("points", ONE_CLICK)
