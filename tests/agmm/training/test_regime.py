from dataclasses import replace
from typing import Any

import pytest

from agmm.config.training import TrainConfig
from agmm.losses.build import build_loss
from agmm.training.regime import (
    pseudo_classes_for,
    pseudo_classes_notice,
    reaches_all_classes,
    regime_notices,
    regime_of,
    resolve_loss,
    terms_that_rely_on_all_classes,
)
from data_manifests import LabelClass, LabelSpace, Manifest


def with_settings(manifest: Manifest, command: str, settings: dict[str, Any]) -> Manifest:
    return replace(manifest, info=replace(manifest.info, command=command, settings=settings))


@pytest.mark.parametrize(
    ("command", "settings", "expected"),
    [
        ("points", {"clicks_per_class": 1, "wrong": 0.0}, True),
        ("points", {"clicks_per_instance": 2}, True),
        ("points", {"clicks_per_class": 1, "wrong": 0.1}, False),
        ("points", {"clicks_per_image": 20}, False),
        ("points", {"clicks_per_class": 1, "min_distance": 9}, False),
        ("scribbles", {"width": 3}, True),
        ("scribbles", {"per": "class", "strokes": 2}, True),
        ("scribbles", {"per": "image", "strokes": 2}, False),
        ("scribbles", {"minutes": 0.5}, False),
        ("grow", {"source_command": "points", "source_settings": "clicks_per_class"}, False),
        ("import", {}, False),
        ("grow", {"source_command": "points", "source_settings": {"clicks_per_class": 1}}, True),
        ("pseudo-labels", {"source_command": "points", "source_settings": {"clicks_per_image": 5}}, False),
        ("points", {"clicks_added": 5, "source_command": "scribbles", "source_settings": {}}, True),
        ("points", {"clicks_per_class": 2, "source_command": "import", "source_settings": {}}, True),
        ("points", {"clicks_added": 5, "source_command": "points", "source_settings": {"clicks_per_image": 4}}, False),
    ],
)
def test_only_annotations_that_go_by_class_reach_all_classes(
    seven: Manifest, command: str, settings: dict[str, Any], expected: bool
) -> None:
    manifest = with_settings(seven, command, settings)
    assert reaches_all_classes(manifest) is expected
    assert regime_of(manifest).reaches_all is expected


def test_classes_per_image_are_counted_over_annotated_rows_of_the_split(seven: Manifest) -> None:
    rows = [row for row in seven.rows if row.split == "train" and row.classes_labelled]
    found = regime_of(seven)
    assert found.classes_per_image == sum(len(row.classes_labelled) for row in rows) / len(rows)
    assert found.num_classes == seven.label_space.num_classes
    assert regime_of(seven, "nowhere").classes_per_image == 0


@pytest.mark.parametrize(
    ("settings", "terms"),
    [
        ({}, []),
        ({"preset": "released"}, ["absence"]),
        ({"loss_kind": "seg"}, []),
        ({"loss_kind": "absence"}, ["absence"]),
        ({"loss_kind": "presence"}, ["presence"]),
        ({"loss_kind": "gated_crf"}, []),
        ({"loss_kind": "mean_teacher"}, ["mean_teacher"]),
        ({"loss_kind": "mean_teacher", "loss": {"classes": "all"}}, []),
        ({"loss_kind": "combined", "loss": {"absence": 0.0, "mixture_labels": 1.0}}, ["mixture_labels"]),
    ],
)
def test_terms_that_take_unlabelled_classes_as_absent(settings: dict[str, Any], terms: list[str]) -> None:
    assert terms_that_rely_on_all_classes(TrainConfig(**settings)) == terms


def test_a_run_says_which_classes_it_takes_as_absent(seven: Manifest) -> None:
    uniform = with_settings(seven, "points", {"clicks_per_image": 20})
    by_class = with_settings(seven, "points", {"clicks_per_class": 1})
    share = f"{regime_of(seven).classes_per_image:.1f} of {seven.label_space.num_classes} classes"
    absence, seg = TrainConfig(loss_kind="absence"), TrainConfig(loss_kind="seg")

    def said(manifest: Manifest, config: TrainConfig) -> str:
        (line,) = regime_notices(manifest, config)
        assert share in line
        return line

    assert said(uniform, absence).startswith("Warning: ") and "absence" in said(uniform, absence)
    assert said(by_class, absence).endswith("absence on.")
    few = regime_of(seven).classes_per_image <= seven.label_space.num_classes / 2
    assert ("--loss-kind presence" in said(by_class, seg)) is few is regime_of(seven).few_of_many
    assert "presence" not in said(uniform, seg) and "cross-entropy" in said(uniform, seg)
    assert "cross-entropy" not in said(uniform, TrainConfig())
    assert not said(uniform, seg).startswith("Warning") and not said(by_class, seg).startswith("Warning")
    assert not list(regime_notices(uniform, TrainConfig(loss_kind="absence", supervision="full")))


def test_pseudo_labels_are_limited_only_where_labels_reach_all_classes(seven: Manifest) -> None:
    uniform = with_settings(seven, "points", {"clicks_per_image": 20})
    scribbles = with_settings(seven, "scribbles", {})
    assert (pseudo_classes_for(uniform, None), pseudo_classes_for(scribbles, None)) == ("all", "labelled")
    assert pseudo_classes_for(uniform, "labelled") == "labelled"
    assert pseudo_classes_notice(uniform, "labelled").startswith("Warning")
    assert not pseudo_classes_notice(uniform, None).startswith("Warning")
    assert not pseudo_classes_notice(scribbles, "labelled").startswith("Warning")


def of_classes(manifest: Manifest, num_classes: int) -> Manifest:
    """The manifest with seven of so many classes labelled in each image, all by one click on each."""
    space = LabelSpace("seven-of-many", tuple(LabelClass(f"class {i}", (i, i, i), (i,)) for i in range(num_classes)))
    rows = tuple(replace(row, classes_labelled=tuple(range(7))) for row in manifest.rows)
    manifest = with_settings(replace(manifest, rows=rows), "points", {"clicks_per_class": 1})
    return replace(manifest, info=replace(manifest.info, label_space=space))


@pytest.mark.parametrize(("num_classes", "warned"), [(13, True), (14, False)])
def test_presence_warns_where_an_image_holds_more_than_half_of_the_classes(
    seven: Manifest, num_classes: int, warned: bool
) -> None:
    manifest = of_classes(seven, num_classes)
    (line,) = regime_notices(manifest, TrainConfig(loss_kind="presence"))
    assert line.startswith("Warning: ") is warned
    assert ("--loss-kind seg" in line) is warned


def test_auto_is_presence_only_where_clicks_are_complete_and_images_hold_few_classes(seven: Manifest) -> None:
    auto, few, many = TrainConfig(loss_kind="auto"), of_classes(seven, 14), of_classes(seven, 13)
    uniform = with_settings(few, "points", {"clicks_per_image": 20})
    assert resolve_loss(few, auto) == TrainConfig(loss_kind="presence")
    assert resolve_loss(many, auto) == resolve_loss(uniform, auto) == TrainConfig(loss_kind="seg")
    assert resolve_loss(few, replace(auto, supervision="full")).loss_kind == "seg"
    assert resolve_loss(few, TrainConfig(loss_kind="absence")) == TrainConfig(loss_kind="absence")
    silent = replace(few, rows=tuple(replace(row, classes_labelled=()) for row in few.rows))
    assert resolve_loss(silent, auto).loss_kind == "seg"


def test_auto_has_no_options_and_is_no_loss_by_itself() -> None:
    with pytest.raises(ValueError, match="auto.*weight.*--loss-kind"):
        TrainConfig(loss_kind="auto", loss={"weight": 1.0})
    with pytest.raises(ValueError, match="resolve_loss"):
        build_loss(TrainConfig(loss_kind="auto"))


@pytest.mark.parametrize(
    ("kind", "pretrained", "is_auto", "recipe"),
    [
        ("few", False, False, "few-clicks"),
        ("few", True, False, "few-clicks"),
        ("many", False, False, "small-data"),
        ("many", True, False, ""),
        ("many", True, True, "small-data"),
        ("uniform", False, False, "small-data"),
        ("uniform", True, False, ""),
        ("uniform", True, True, "small-data"),
    ],
)
def test_a_run_names_the_recipe_for_its_annotation(
    seven: Manifest, kind: str, pretrained: bool, is_auto: bool, recipe: str
) -> None:
    manifest = of_classes(seven, 13 if kind == "many" else 14)
    if kind == "uniform":
        manifest = with_settings(manifest, "points", {"clicks_per_image": 20})
    config = TrainConfig(loss_kind="seg", encoder_weights="imagenet" if pretrained else "none")
    (line,) = regime_notices(manifest, config, is_auto=is_auto)
    named = [name for name in ("few-clicks", "small-data") if f"--recipe {name}" in line]
    assert named == ([recipe] if recipe else [])
