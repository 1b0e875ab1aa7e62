"""Manifests in, figure files out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_manifests import (
    DataError,
    Manifest,
    ManifestError,
    Mark,
    known_label_space,
    read_manifest,
    write_manifest,
    write_marks,
)
from data_manifests.files.images import encode_image, read_image
from sparsekit.errors import AnnotationError
from sparsekit.figures import write as figures
from sparsekit.figures.enlarge import enlarge_image
from sparsekit.figures.join import join_manifests, manifest_captions
from sparsekit.figures.settings import FigureSettings
from sparsekit.figures.sheets import Sheet
from sparsekit.figures.write import plan_figures
from tests.helpers.drawn_figures import DOTS, draw
from tests.sparsekit.conftest import SCENE, letters, numbered_space, tiny_manifest

ZOOM = 60  # images of 8x8 are enlarged to 480x480


def with_budget(folder: Path, budget: int, **kwargs: object) -> Manifest:
    manifest = tiny_manifest(folder, **kwargs)  # type: ignore[arg-type]
    manifest = replace(manifest, info=replace(manifest.info, settings={"clicks_per_image": budget}))
    write_manifest(manifest)
    return manifest


@pytest.fixture
def seen_sheets(monkeypatch: pytest.MonkeyPatch) -> list[Sheet]:
    """The sheets that are drawn."""
    sheets: list[Sheet] = []

    def keep(*args: object, **kwargs: object) -> Sheet:
        sheets.append(original(*args, **kwargs))  # type: ignore[arg-type]
        return sheets[-1]

    original = figures.lay_out
    monkeypatch.setattr(figures, "lay_out", keep)
    return sheets


def words(sheet: Sheet) -> list[str]:
    return [text.text for text in sheet.texts]


def test_one_figure_per_annotated_image(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE] * 3, num_val=1)
    written = draw([manifest], tmp_path / "figures")
    assert [path.name for path in written] == ["image_0.png", "image_1.png"]
    figure = read_image(written[0])
    side = ZOOM * 8
    drawn = figure[:side, :side]
    image = enlarge_image(read_image(manifest.resolve(manifest.rows[0].image)), ZOOM)
    for (row, col), class_id in {(0, 0): 0, (0, 4): 1}.items():  # the clicks of tiny_manifest, one pixel at this size
        middle = ZOOM * row + ZOOM // 2, ZOOM * col + ZOOM // 2
        assert tuple(drawn[middle]) == manifest.label_space.classes[class_id].color
    assert figure.shape[1] == side and np.array_equal(drawn[ZOOM + 2 :], image[ZOOM + 2 :])


def test_legend_names_only_classes_in_the_figure(tmp_path: Path, seen_sheets: list[Sheet]) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE])
    draw([manifest], tmp_path / "a")
    draw([manifest], tmp_path / "b", replace(DOTS, full_mask=True))
    draw([manifest], tmp_path / "c", replace(DOTS, full_mask=True, mask_opacity=0.5))
    legend = [[word for word in words(sheet) if word.startswith("class") or word == "void"] for sheet in seen_sheets]
    classes = ["class_0", "class_1", "class_2"]
    assert legend == [classes[:2], [*classes, "void"], classes]


def test_budgets_stand_side_by_side_with_captions(tmp_path: Path, seen_sheets: list[Sheet]) -> None:
    manifests = [with_budget(tmp_path / str(n), n) for n in (1, 20)]
    written = draw(manifests, tmp_path / "f", replace(DOTS, full_mask=True))
    assert len(written) == 2 and len(seen_sheets[0].images) == 3
    assert words(seen_sheets[0])[:3] == ["1 click", "20 clicks", "full mask"]
    draw(manifests, tmp_path / "g", replace(DOTS, captions=("few", "many")), image_ids=["image_1"])
    assert words(seen_sheets[-1])[:2] == ["few", "many"]


@pytest.mark.parametrize(
    ("command", "settings", "words"),
    [
        ("points", {"clicks_per_image": 20, "strategy": "center"}, "20 clicks, center"),
        ("points", {"clicks_per_instance": 2, "strategy": "per-instance"}, "2 clicks per instance"),
        ("scribbles", {"length": 0.5, "per": "class"}, "scribbles, 50 % length, one per class"),
        ("marks", {"kind": "block", "share": 0.2}, "blocks, 20 % of each region"),
        ("marks", {"kind": "box", "per": "instance"}, "boxes, one per instance"),
        ("grow", {"method": "geodesic", "source_command": "points", "source_settings": {"clicks_per_image": 1}},
         "1 click grown by geodesic"),
        ("import", {"source": "labelme"}, "import"),
    ],
)  # fmt: skip
def test_captions_say_in_words_what_was_drawn(
    tmp_path: Path, command: str, settings: dict[str, Any], words: str
) -> None:
    manifest = tiny_manifest(tmp_path / "m")
    made = replace(manifest, info=replace(manifest.info, command=command, settings=settings))
    assert manifest_captions([made]) == [words]


def test_captions_fall_back_to_folder_names(tmp_path: Path) -> None:
    short, long = (tiny_manifest(tmp_path / name) for name in ("tiny-short", "tiny-long"))
    assert manifest_captions([short, long]) == ["short", "long"]
    equal = [with_budget(tmp_path / name, 5) for name in ("seed0", "seed1")]
    assert manifest_captions(equal) == ["seed0", "seed1"]


def test_contact_sheets(tmp_path: Path, seen_sheets: list[Sheet]) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE] * 5)
    written = draw([manifest], tmp_path / "f", replace(DOTS, sheet=(2, 2), names=True))
    assert [path.name for path in written] == ["sheet-001.png", "sheet-002.png"]
    assert [len(sheet.images) for sheet in seen_sheets] == [4, 1]
    assert "image_3" in words(seen_sheets[0]) and words(seen_sheets[1])[0] == "image_4"


def test_upright_image_does_not_blow_up_its_row(tmp_path: Path, seen_sheets: list[Sheet]) -> None:
    wide, tall = np.zeros((30, 60), np.uint8), np.zeros((60, 30), np.uint8)
    manifest = tiny_manifest(tmp_path / "m", [wide, tall, wide], marks=[[Mark("click", 0, 1, 1)]] * 3)
    draw([manifest], tmp_path / "f", replace(DOTS, sheet=(1, 3)))
    assert [image.shape[:2] for _, _, image in seen_sheets[0].images] == [(240, 480), (240, 120), (240, 480)]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (8, 8), (3, 5000), (40, 8192)])
def test_any_size(tmp_path: Path, height: int, width: int) -> None:
    mask = np.zeros((height, width), np.uint8)
    marks = [[Mark("click", 0, 0, 0), Mark("click", 0, height - 1, width - 1)]]
    manifest = tiny_manifest(tmp_path / "m", [mask], marks=marks, label_space=numbered_space(1))
    (path,) = draw([manifest], tmp_path / "f", FigureSettings())
    figure = read_image(path)
    assert figure.shape[1] == (480 if max(height, width) < 480 else min(2048, max(320, width)))


def test_dots_are_drawn_before_the_image_is_made_smaller(tmp_path: Path) -> None:
    mask = np.zeros((400, 800), np.uint8)
    manifest = tiny_manifest(tmp_path / "m", [mask], marks=[[Mark("click", 1, 199, 399)]])
    (path,) = draw([manifest], tmp_path / "f", FigureSettings(dot_size=80, max_width=400))
    figure = read_image(path)[:200].astype(int)
    changed = np.abs(figure - np.array(manifest.label_space.classes[0].color)).max(2) > 96
    assert changed.sum() == pytest.approx(np.pi / 4 * 40**2, rel=0.03)


def test_equal_input_gives_equal_files(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m")
    for format_ in ("png", "pdf"):
        for out in ("a", "b"):
            draw([manifest], tmp_path / out, replace(DOTS, file_format=format_))
        assert (tmp_path / f"a/image_0.{format_}").read_bytes() == (tmp_path / f"b/image_0.{format_}").read_bytes()


def test_strokes_come_from_the_annotation(tmp_path: Path) -> None:
    sparse = letters("........", ".111....", "........", "........", "........", "........", "........", ".......2")
    marks = [[Mark("stroke", 1, 1, 1, ((1, 1), (1, 3)), (1, 1)), Mark("click", 2, 7, 7)]]
    manifest = tiny_manifest(tmp_path / "m", [SCENE], marks, sparse_maps=[sparse])
    (path,) = draw([manifest], tmp_path / "f")
    (tmp_path / "m/marks.csv").unlink()  # a manifest from elsewhere: the annotation tells it all
    (other,) = draw([manifest], tmp_path / "g")
    for figure in (read_image(path), read_image(other)):
        assert (figure[ZOOM + 30, ZOOM + 1 : 4 * ZOOM - 1] == manifest.label_space.classes[1].color).all()
        assert (figure[7 * ZOOM + 30, 7 * ZOOM + 30] == manifest.label_space.classes[2].color).all()


@pytest.mark.parametrize("columns", [1, 4])
def test_strokes_keep_their_color_however_small_the_panel(tmp_path: Path, columns: int) -> None:
    """A stroke 5 pixels wide on a large image is about one pixel wide in a sheet of four columns."""
    mask, sparse = np.zeros((1024, 2048), np.uint8), np.full((1024, 2048), 255, np.uint8)
    sparse[500:505, 100:1900] = 1
    marks = [[Mark("stroke", 1, 502, 100, ((502, 100), (502, 1899)), (5, 5))]]
    manifests = [
        tiny_manifest(tmp_path / str(i), [mask], marks=marks, sparse_maps=[sparse], label_space=numbered_space(2))
        for i in range(columns)
    ]
    (path,) = draw(manifests, tmp_path / "f", FigureSettings(max_width=1400))
    figure = read_image(path)
    color = np.array(manifests[0].label_space.classes[1].color)
    column = figure[:, 150].astype(int)
    shown = np.abs(column - color).max(1) < 16
    least, most = (3, 5) if columns == 1 else (2, 4)
    assert least <= shown[: figure.shape[0] // 2 + 200].sum() <= most


def test_small_images_are_enlarged_with_their_marks(tmp_path: Path, seen_sheets: list[Sheet]) -> None:
    mask = np.zeros((60, 100), np.uint8)
    mask[:, 50:] = 1
    manifest = tiny_manifest(tmp_path / "m", [mask], marks=[[Mark("click", 1, 30, 70)]])
    draw([manifest], tmp_path / "f", FigureSettings(full_mask=True))
    (_, _, drawn), (_, _, full) = seen_sheets[0].images
    assert drawn.shape == full.shape == (240, 400, 3)
    assert tuple(drawn[4 * 30 + 2, 4 * 70 + 2]) == manifest.label_space.classes[1].color
    assert np.array_equal(full[2::4, 2::4], manifest.label_space.palette[mask])


def test_all_void_image_is_drawn_without_marks(tmp_path: Path) -> None:
    mask = np.full((8, 8), 255, np.uint8)
    manifest = tiny_manifest(tmp_path / "m", [mask], marks=[[]])
    (path,) = draw([manifest], tmp_path / "f")
    assert read_image(path).shape == (480, 480, 3)


def test_manifests_without_a_common_image(tmp_path: Path) -> None:
    first = tiny_manifest(tmp_path / "a")
    rows = tuple(replace(row, image_id=f"other_{i}") for i, row in enumerate(first.rows))
    second = replace(first, path=tmp_path / "b/manifest.csv", rows=rows)
    with pytest.raises(AnnotationError, match=r"a/manifest.csv and .*b/manifest.csv have no image in common; give"):
        join_manifests([first, second])
    third = replace(first, path=tmp_path / "c/manifest.csv", rows=(*rows, first.rows[1]))
    assert [row.image_id for (row, _) in join_manifests([first, third])] == ["image_1"]


def test_manifests_of_other_classes(tmp_path: Path) -> None:
    first = tiny_manifest(tmp_path / "a")
    second = tiny_manifest(tmp_path / "b", label_space=numbered_space(4))
    with pytest.raises(ManifestError, match="have different classes: 4 and 3"):
        join_manifests([first, second])


def test_choice_of_images(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE] * 4, num_val=2)

    def chosen(**kwargs: object) -> list[str]:
        return [row.image_id[-1] for (row,) in join_manifests([manifest], **kwargs)]  # type: ignore[arg-type]

    assert chosen() == ["0", "1"] and chosen(limit=1) == ["0"] and chosen(split="val") == ["2", "3"]
    assert chosen(image_ids=["image_3", "image_0"]) == ["0", "3"]
    with pytest.raises(DataError, match="split 'test' has no rows"):
        chosen(split="test")
    with pytest.raises(AnnotationError, match="no image 'nothing'. There are: image_0, image_1"):
        chosen(image_ids=["nothing"])
    with pytest.raises(AnnotationError, match="no row has an annotation. Name a split"):
        join_manifests([replace(manifest, rows=manifest.rows[2:])])
    with pytest.raises(AnnotationError, match="has no rows"):
        join_manifests([replace(manifest, rows=())])


@pytest.mark.parametrize("file", ["image", "annotation", "full_mask"])
def test_other_size_than_the_manifest_says(tmp_path: Path, file: str) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE], marks=[[Mark("stroke", 0, 0, 0, ((0, 0), (0, 1)), (1, 1))]])
    path = manifest.resolve(getattr(manifest.rows[0], file))
    small = encode_image(np.zeros((4, 6, 3), np.uint8)) if file == "image" else None
    if small is None:
        Image.new("L", (6, 4)).save(path)
    else:
        path.write_bytes(small)
    with pytest.raises(ManifestError, match=r"is 6x4 \(width x height\), but .* says 8x8"):
        draw([manifest], tmp_path / "f", replace(DOTS, full_mask=True))
    assert not (tmp_path / "f").exists()


def test_full_mask_where_there_is_none(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m")
    manifest = replace(manifest, rows=tuple(replace(row, full_mask="") for row in manifest.rows))
    with pytest.raises(AnnotationError, match="image 'image_0' has no full mask to show"):
        draw([manifest], tmp_path / "f", replace(DOTS, full_mask=True))


@pytest.mark.parametrize("image_id", ["../../evil", "/evil"])
def test_image_id_that_leaves_the_folder(tmp_path: Path, image_id: str) -> None:
    manifest = tiny_manifest(tmp_path / "m")
    manifest = replace(manifest, rows=(replace(manifest.rows[0], image_id=image_id),))
    with pytest.raises(DataError, match="lies outside"):
        plan_figures([manifest], tmp_path / "f")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dot_size": 0}, "dot_size must be at least 1, got 0"),
        ({"mask_opacity": 0.0}, "mask_opacity must be above 0"),
        ({"sheet": (0, 3)}, "at least 1 row and 1 column, got 0x3"),
        ({"file_format": "gif"}, "Unknown format 'gif'. Choose from: png, pdf"),
    ],
)
def test_settings_are_checked(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FigureSettings(**changes)  # type: ignore[arg-type]


def test_captions_must_match(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Expected 1 caption, one for each manifest, got 2"):
        plan_figures([tiny_manifest(tmp_path)], tmp_path / "f", FigureSettings(captions=("a", "b")))


def test_class_names_of_real_spaces_fit(tmp_path: Path, seen_sheets: list[Sheet]) -> None:
    space = known_label_space("cityscapes")
    mask = np.arange(19, dtype=np.uint8).repeat(40)[None].repeat(100, 0)
    marks = [[Mark("click", i, 50, 40 * i + 20) for i in range(19)]]
    manifest = tiny_manifest(tmp_path / "m", [mask], marks=marks, label_space=space)
    write_marks(tmp_path / "m/marks.csv", [("image_0", marks[0])])
    draw([read_manifest(manifest.path)], tmp_path / "f")
    assert words(seen_sheets[0]) == list(space.class_names)
