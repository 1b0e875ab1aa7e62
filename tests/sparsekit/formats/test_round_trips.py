"""What is exported comes back: equal to the pixel, and mark by mark where the format has marks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_manifests import Dataset, Manifest, Mark, open_dataset, open_images, read_manifest, read_marks
from data_manifests.files.atomic import write_atomically
from data_manifests.files.masks import encode_label_map
from data_manifests.manifest.derive import merge_manifests, subset_manifest
from data_manifests.manifest.rows import read_row_annotation
from data_manifests.manifest.validate import check_manifest
from sparsekit.areas.settings import RegionMarkSettings
from sparsekit.clicks.settings import ClickSettings
from sparsekit.errors import AnnotationError
from sparsekit.formats import IMPORTED
from sparsekit.formats.export import export_manifest
from sparsekit.formats.import_ import ImportOptions, import_annotations
from sparsekit.geometry.rasterize import rasterize
from sparsekit.synthesis.annotators import Annotator, ClickAnnotator, RegionMarkAnnotator
from tests.helpers.annotation_folders import CLICKS, SCRIBBLES, annotated, camvid, cityscapes, voc
from tests.helpers.real_data import real_data
from tests.sparsekit.conftest import numbered_space
from tests.sparsekit.formats.test_export_marks import MARKS, SHAPE, manifest_of

VECTORS = ("labelme", "cvat", "label-studio", "coco")


def marks_of(manifest: Manifest) -> dict[str, list[Mark]]:
    """Marks without the number of their region, which no format holds."""
    return {image_id: [replace(m, region=-1) for m in marks] for image_id, marks in read_marks(manifest.marks_path)}


def same_annotation(ours: Manifest, theirs: Manifest) -> None:
    """Every row is equal but for the names of files."""
    fields = ("image_id", "split", "height", "width", "num_labelled", "classes_labelled", "full_mask_sha256",
              "annotation_sha256")  # fmt: skip
    for mine, other in zip(ours.rows, theirs.rows, strict=True):
        assert [getattr(mine, f) for f in fields] == [getattr(other, f) for f in fields]
        assert ours.resolve(mine.image).resolve() == theirs.resolve(other.image).resolve()
    problems = check_manifest(theirs, draw=rasterize)
    assert [p for p in problems if p.kind not in ("no_marks", "split")] == []  # all miniature images are the same


def bring_back(manifest: Manifest, dataset: Dataset, folder: Path, format_: str, width: int = 3) -> Manifest:
    out = export_manifest(manifest, format_, folder / "out", lossy=True).folder
    summary = import_annotations(out, format_, dataset, folder / "back", options=ImportOptions(width))
    assert summary.unmatched == ()
    return read_manifest(summary.folder)


@pytest.mark.parametrize("format_", sorted({*IMPORTED} - {"sam"}))
def test_images_without_full_masks_get_the_same_annotation(tmp_path: Path, format_: str) -> None:
    manifest = camvid(tmp_path)
    (annotated_row,) = [row for row in manifest.rows if row.annotation]
    images = manifest.resolve(annotated_row.image).parent
    back = bring_back(manifest, open_images(images, manifest.label_space), tmp_path, format_)
    (row,) = back.rows
    assert (row.full_mask, row.full_mask_sha256) == ("", "")
    assert row.annotation_sha256 == annotated_row.annotation_sha256
    assert (row.height, row.width) == (annotated_row.height, annotated_row.width)
    assert row.classes_labelled == annotated_row.classes_labelled
    assert [p for p in check_manifest(back, draw=rasterize) if p.kind != "no_marks"] == []


MAKERS: dict[str, tuple[Callable[[Path, Annotator], Manifest], str]] = {
    "cityscapes": (cityscapes, "cityscapes"), "camvid": (camvid, "camvid"), "voc": (voc, "voc"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("format_", "maker", "annotator"),
    [
        pytest.param(format_, maker, annotator, id=f"{format_}-{maker}-{name}")
        for format_ in sorted({*IMPORTED} - {"sam"})
        for maker in MAKERS
        for name, annotator in (("clicks", CLICKS), ("scribbles", SCRIBBLES))
        # The reader has a width of its own: test_tel_voc_strokes_come_back_in_the_width_of_its_reader.
        if (format_, maker, name) != ("tel", "voc", "scribbles")
    ],
)
def test_round_trip(tmp_path: Path, format_: str, maker: str, annotator: Annotator) -> None:
    make, folder = MAKERS[maker]
    manifest = make(tmp_path, annotator)
    dataset = open_dataset(tmp_path / folder)
    back = bring_back(manifest, dataset, tmp_path, format_)
    same_annotation(manifest, back)
    if format_ in VECTORS or (format_, maker) == ("tel", "voc"):
        assert marks_of(back) == marks_of(manifest)
    elif annotator is CLICKS:  # pixel by pixel, their order is lost
        mine, theirs = marks_of(manifest), marks_of(back)
        assert {i: set(marks) for i, marks in theirs.items()} == {i: set(marks) for i, marks in mine.items()}
    assert back.info.command == "import" and back.info.settings["format"] == format_


LABEL_MAPS = ("agmm", "tel", "urss")


def every_kind_of_manifest(dataset: Dataset, folder: Path) -> dict[str, Manifest]:
    """What sparsekit makes, and what may come of it."""
    clicks = annotated(dataset, folder)
    kinds = {"clicks": clicks, "scribbles": annotated(dataset, folder, SCRIBBLES)}
    kinds["clicks per class"] = annotated(dataset, folder, ClickAnnotator((2,), ClickSettings("per-class")))
    for kind, shares in (("box", ()), ("block", (0.5,)), ("coarse", ())):
        settings = RegionMarkSettings(kind, min_area=1)  # type: ignore[arg-type]
        kinds[kind] = annotated(dataset, folder, RegionMarkAnnotator(settings, shares))
    ids = [row.image_id for row in clicks.rows if row.annotation]
    others = [row.image_id for row in clicks.rows if not row.annotation]
    parts = [
        subset_manifest(clicks, folder / "annotated", image_ids=ids),
        subset_manifest(kinds["box"], folder / "others", image_ids=others),
    ]
    for derived in (*parts, subset_manifest(clicks, folder / "subset", image_ids=ids, split="train")):
        derived.write()
    kinds["subset"] = read_manifest(folder / "subset")
    merge_manifests([part.manifest for part in parts], folder / "merge").write()
    kinds["merge"] = read_manifest(folder / "merge")
    labelme = export_manifest(clicks, "labelme", folder / "labelme").folder
    kinds["import"] = read_manifest(import_annotations(labelme, "labelme", dataset, folder / "import").folder)
    kinds["pseudo-labels"] = replace(
        clicks, info=replace(clicks.info, command="pseudo-labels", settings={"source_command": "points"})
    )
    return kinds


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("format_", LABEL_MAPS)
def test_label_maps_of_every_kind_of_manifest(tmp_path: Path, maker: str, format_: str) -> None:
    make, folder = MAKERS[maker]
    make(tmp_path, CLICKS)
    dataset = open_dataset(tmp_path / folder)
    kinds = every_kind_of_manifest(dataset, tmp_path / "kinds")
    assert {manifest.info.command for manifest in kinds.values()} >= {"points", "scribbles", "marks", "merge", "import"}
    for kind, manifest in kinds.items():
        if (format_, maker) != ("tel", "voc"):  # which is made of marks
            same_annotation(manifest, bring_back(manifest, dataset, tmp_path / format_ / kind, format_))


@pytest.mark.parametrize("word", ["", "my own", "gtFine", "../../up", "{name}", "a*"])
def test_words_in_a_manifest_are_no_places(tmp_path: Path, word: str) -> None:
    """Whatever made an annotation, and however many clicks it says, the files are where the reader finds them."""
    manifest, dataset = cityscapes(tmp_path), open_dataset(tmp_path / "cityscapes")
    info = replace(manifest.info, command=word, settings={"clicks_per_image": word})
    before = set(tmp_path.rglob("*"))
    for format_ in LABEL_MAPS:
        same_annotation(
            manifest, bring_back(replace(manifest, info=info), dataset, tmp_path / "a/b" / format_, format_)
        )
    written = set(tmp_path.rglob("*")) - before - {tmp_path / "a", tmp_path / "a/b"}
    assert {path.relative_to(tmp_path / "a/b").parts[0] for path in written} == set(LABEL_MAPS)


def test_tel_voc_strokes_come_back_in_the_width_of_its_reader(tmp_path: Path) -> None:
    manifest = voc(tmp_path, SCRIBBLES)
    back = bring_back(manifest, open_dataset(tmp_path / "voc"), tmp_path, "tel", 4)
    expected = {i: [replace(m, widths=(4,) * len(m.points)) for m in marks] for i, marks in marks_of(manifest).items()}
    assert marks_of(back) == expected


@pytest.fixture
def mixed(tmp_path: Path) -> tuple[Manifest, Dataset]:
    manifest = manifest_of(tmp_path / "m", MARKS, MARKS[::-1])
    (tmp_path / "m/data/classes.csv").write_text("name,id\n" + "".join(f"class_{i},{i}\n" for i in range(3)))
    return manifest, open_dataset(tmp_path / "m/data")


@pytest.mark.parametrize("format_", VECTORS)
def test_every_kind_of_mark_on_top_of_each_other(tmp_path: Path, mixed: tuple[Manifest, Dataset], format_: str) -> None:
    manifest, dataset = mixed
    back = bring_back(manifest, dataset, tmp_path, format_)
    same_annotation(manifest, back)
    assert marks_of(back) == marks_of(manifest)


def test_the_file_names_of_readers_do_not_matter(tmp_path: Path) -> None:
    """Uploaded files get a prefix, other machines have other folders."""
    manifest, dataset = camvid(tmp_path), open_dataset(tmp_path / "camvid")
    out = export_manifest(manifest, "label-studio", tmp_path / "out").folder
    tasks = json.loads((out / "tasks.json").read_text())
    tasks[0]["data"]["image"] = "/data/upload/3/0a1b2c3d-train_1.png"
    tasks[0]["annotations"] = [{"was_cancelled": True, "result": []}, tasks[0].pop("predictions")[0]]
    (out / "tasks.json").write_text(json.dumps(tasks))
    import_annotations(out, "label-studio", dataset, tmp_path / "a")
    assert marks_of(read_manifest(tmp_path / "a")) == marks_of(manifest)
    out = export_manifest(manifest, "labelme", tmp_path / "out2").folder
    data = json.loads((out / "train_1.json").read_text())
    data["imagePath"] = "..\\images\\train_1.png"
    (out / "train_1.json").rename(out / "renamed.json")
    (out / "renamed.json").write_text(json.dumps(data))
    import_annotations(out, "labelme", dataset, tmp_path / "b")
    assert marks_of(read_manifest(tmp_path / "b")) == marks_of(manifest)


def test_cvat_draws_by_height_and_one_element_may_hold_several_clicks(
    tmp_path: Path, mixed: tuple[Manifest, Dataset]
) -> None:
    _, dataset = mixed
    (tmp_path / "cvat").mkdir()
    (tmp_path / "cvat/annotations.xml").write_text(
        '<annotations><image id="0" name="image_0.png" width="30" height="20"><tag label="class_0"/>'
        '<box label="class_1" xtl="0" ytl="0" xbr="9.7" ybr="30e-1" rotation="0.0" z_order="2"/>'
        '<points label="class_2" points="1.2,1.9;30,20" z_order="1"/>'
        '<polyline label="class_0" points="2,10;2,15"/></image>'
        '<image id="1" name="image_1.png" width="30" height="20"/></annotations>'
    )
    summary = import_annotations(tmp_path / "cvat", "cvat", dataset, tmp_path / "back", options=ImportOptions(1))
    assert summary.num_images == 1  # without shapes an image counts as not annotated
    assert marks_of(read_manifest(summary.folder))["image_0"] == [
        Mark("box", 1, 0, 0, ((0, 0), (2, 9))),
        Mark("click", 2, 19, 29),
        Mark("click", 2, 1, 1),
        Mark("stroke", 0, 10, 2, ((10, 2), (15, 2)), (1, 1)),
    ]


def test_what_label_studio_says_beside_regions_is_passed_over(tmp_path: Path, mixed: tuple[Manifest, Dataset]) -> None:
    manifest, dataset = mixed
    out = export_manifest(manifest, "label-studio", tmp_path / "out").folder
    tasks = json.loads((out / "tasks.json").read_text())
    results = tasks[0]["predictions"][0]["result"]
    of_region = {**results[0], "type": "textarea", "value": {**results[0]["value"], "text": ["large"]}}
    of_image = {"type": "choices", "from_name": "weather", "to_name": "image", "value": {"choices": ["fog"]}}
    relation = {"type": "relation", "from_id": results[0]["id"], "to_id": results[1]["id"], "direction": "right"}
    tasks[0]["predictions"][0]["result"] = [relation, of_image, *results, of_region]
    tasks[1]["predictions"][0]["result"] = [of_image]
    (out / "tasks.json").write_text(json.dumps(tasks))
    back = read_manifest(import_annotations(out, "label-studio", dataset, tmp_path / "back").folder)
    assert marks_of(back) == {"image_0": marks_of(manifest)["image_0"]}


def test_annotations_of_coco_whose_image_is_not_listed_are_named(
    tmp_path: Path, mixed: tuple[Manifest, Dataset]
) -> None:
    """An id as text is not the number; images of other names count once for all of their masks."""
    manifest, dataset = mixed
    out = export_manifest(manifest, "coco", tmp_path / "out").folder
    data = json.loads((out / "annotations/instances_train.json").read_text())
    second = [annotation for annotation in data["annotations"] if annotation["image_id"] == 2]
    for annotation, image_id in zip(second, [999, 999, "2", "2", 3, 3, 3], strict=True):
        annotation["image_id"] = image_id
    data["images"].append({"id": 3, "file_name": "nobody.png", "height": 20, "width": 30})
    (out / "annotations/instances_train.json").write_text(json.dumps(data))
    summary = import_annotations(out, "coco", dataset, tmp_path / "back")
    assert sorted(summary.unmatched) == ["image_id '2'", "image_id 999", "nobody.png"]
    assert marks_of(read_manifest(summary.folder)) == {"image_0": marks_of(manifest)["image_0"]}
    for annotation in data["annotations"]:
        annotation["image_id"] = "1"
    (out / "annotations/instances_train.json").write_text(json.dumps(data))
    with pytest.raises(AnnotationError, match=r"no annotation of an image in .* Names in them: image_id '1'\."):
        import_annotations(out, "coco", dataset, tmp_path / "none")


@pytest.mark.parametrize("format_", ["coco", "label-studio"])
def test_masks_painted_in_since_count_more_than_what_was_drawn(
    tmp_path: Path, mixed: tuple[Manifest, Dataset], format_: str
) -> None:
    from sparsekit.formats.shared.rle import coco_counts, label_studio_rle

    manifest, dataset = mixed
    out = export_manifest(manifest, format_, tmp_path / "out").folder
    expected = read_row_annotation(manifest, manifest.rows[0]).copy()
    pixels = np.flatnonzero(rasterize(MARKS[:1], SHAPE, numbered_space(3)) == 2)
    expected.flat[pixels[:5]] = 255
    path = next(out.rglob("*.json"))
    data = json.loads(path.read_text())
    if format_ == "coco":
        data["annotations"][0]["segmentation"]["counts"] = coco_counts(pixels[5:], SHAPE)
    else:
        data[0]["predictions"][0]["result"][-1]["value"]["rle"] = label_studio_rle(pixels[5:], SHAPE)
    path.write_text(json.dumps(data))
    summary = import_annotations(out, format_, dataset, tmp_path / "back")
    back = read_manifest(summary.folder)
    np.testing.assert_array_equal(read_row_annotation(back, back.rows[0]), expected)
    assert summary.num_marks is None and not back.marks_path.exists()


def test_foreign_coco_with_compressed_masks(tmp_path: Path, mixed: tuple[Manifest, Dataset]) -> None:
    """Counts 23, 3, 574 as COCO's letters, worked out by hand: 23 is g 0, 3 is 3, 574 is n a 0."""
    (tmp_path / "coco").mkdir()
    data = {
        "images": [{"id": 7, "file_name": "image_1.png", "height": 20, "width": 30}],
        "categories": [{"id": 90, "name": "class_2"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 90, "segmentation": {"size": [20, 30], "counts": "g03na0"}}
        ],
    }
    (tmp_path / "coco/instances.json").write_text(json.dumps(data))
    back = read_manifest(import_annotations(tmp_path / "coco", "coco", mixed[1], tmp_path / "back").folder)
    expected = np.full(SHAPE, 255)
    expected[3:6, 1] = 2
    np.testing.assert_array_equal(read_row_annotation(back, back.rows[0]), expected)
    assert marks_of(back) == {"image_1": [Mark("click", 2, row, 1) for row in (3, 4, 5)]}


def test_label_maps_of_larger_parts_have_no_marks(tmp_path: Path, mixed: tuple[Manifest, Dataset]) -> None:
    _, dataset = mixed
    folder = tmp_path / "pascal_2012_scribble"
    folder.mkdir()
    sparse = np.full(SHAPE, 255, np.uint8)
    sparse[2:4, 2:4] = 1
    Image.fromarray(sparse).save(folder / "image_0.png")
    assert import_annotations(tmp_path, "urss", dataset, tmp_path / "clicks").num_marks == 4
    sparse[4, 4] = 0  # touches the others
    Image.fromarray(sparse).save(folder / "image_1.png")
    summary = import_annotations(folder, "urss", dataset, tmp_path / "strokes")
    assert summary.num_marks is None and summary.num_labelled == 9
    back = read_manifest(summary.folder)
    assert {p.kind for p in check_manifest(back, draw=rasterize)} == {"no_marks"}
    assert export_manifest(back, "urss", tmp_path / "again").num_annotated == 2


def test_human_scribbles_of_voc(tmp_path: Path) -> None:
    data = real_data("sparse_samples") / "scribblesup_voc"
    for name in ("images", "masks"):
        shutil.copytree(data / name, tmp_path / "voc" / name)
    (tmp_path / "voc/classes.csv").write_text("name,id\n" + "".join(f"c{i},{i}\n" for i in range(21)))
    dataset = open_dataset(tmp_path / "voc")
    summary = import_annotations(data / "scribbles", "urss", dataset, tmp_path / "human")
    back = read_manifest(summary.folder)
    assert summary.num_images == 2
    for row in back.rows:
        original = np.asarray(Image.open(data / "scribbles" / f"{row.image_id}.png"))
        np.testing.assert_array_equal(read_row_annotation(back, row), original)
    for format_ in ("agmm", "urss", "tel"):
        again = bring_back(back, dataset, tmp_path / format_, format_)
        same_annotation(back, again)


def test_palette_label_maps_are_read_by_their_indices(tmp_path: Path, mixed: tuple[Manifest, Dataset]) -> None:
    """Palette images hold ids in their indices, whatever the colours say."""
    manifest, dataset = mixed
    label_map = read_row_annotation(manifest, manifest.rows[0])
    write_atomically(tmp_path / "in/image_0.png", encode_label_map(label_map, numbered_space(3)))
    back = read_manifest(import_annotations(tmp_path / "in", "urss", dataset, tmp_path / "back").folder)
    assert back.rows[0].annotation_sha256 == manifest.rows[0].annotation_sha256
