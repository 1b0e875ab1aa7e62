"""Every row of docs/own-data.md: the folder that it speaks of is made, and the command is run as it stands."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image

from cli.sparsekit_cli import main
from data_manifests import read_manifest
from data_manifests.files.masks import read_mask
from data_manifests.manifest.rows import read_row_full_mask
from tests.helpers import miniature_datasets as mini

PAGE = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\| .* \| `(sparsekit .*)` \|$", PAGE, re.MULTILINE)

#: Ids of the images 7 and 8; no class has the pixels of another under any turn or shift.
IDS = {name: np.random.default_rng(int(name)).choice(3, (12, 16), p=[0.6, 0.3, 0.1]).astype(np.uint8) for name in "78"}
COLORS = np.array([[0, 0, 0], [250, 50, 83], [51, 221, 255]], np.uint8)
TABLE = "id,name,r,g,b\n0,ground,0,0,0\n1,tree,250,50,83\n2,car,51,221,255\n"


def save(
    root: str,
    image: str = "images/{}.jpg",
    mask: str = "masks/{}.png",
    draw: Callable[[np.ndarray], np.ndarray] = lambda ids: ids,
    classes: str = TABLE,
) -> Path:
    """The images 7 and 8 with masks drawn from their ids."""
    folder = Path(root)
    for name, ids in IDS.items():
        mini.save_image(folder / image.format(name), ids.shape)
        path = folder / mask.format(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn = draw(ids)
        if path.suffix == ".tif":
            tifffile.imwrite(path, drawn, photometric="minisblack", extratags=[(42113, "s", 0, "-9999", True)])
        else:
            Image.fromarray(drawn).save(path)
    if classes:
        (folder / "classes.csv").write_text(classes)
    return folder


def large(ids: np.ndarray) -> np.ndarray:
    """Pixels of 16x16, which JPEG changes only at their borders."""
    return np.kron(ids, np.ones((16, 16), np.uint8))


def make_cityscapes() -> None:
    mini.make_cityscapes(Path("cityscapes"))


def make_jpegs() -> None:
    for name, ids in IDS.items():
        mini.save_image(Path(f"jpegs/images/{name}.jpg"), large(ids).shape)
        Path("jpegs/masks").mkdir(exist_ok=True)
        Image.fromarray(COLORS[large(ids)]).save(f"jpegs/masks/{name}.jpg", quality=95, subsampling=0)
    Path("jpegs/classes.csv").write_text(TABLE)


def make_voc(root: str, draw: Callable[[np.ndarray], np.ndarray]) -> Path:
    return save(root, "JPEGImages/{}.jpg", "SegmentationClass/{}.png", draw, "")


def make_cvat() -> None:
    make_voc("cvat", COLORS.__getitem__)
    Path("cvat/labelmap.txt").write_text("# label:color_rgb\nground:0,0,0::\ntree:250,50,83::\ncar:51,221,255::\n")


def make_labelme2voc() -> None:
    make_voc("labelme2voc", lambda ids: ids)
    Path("labelme2voc/class_names.txt").write_text("ground\ntree\ncar\n")


def make_drawn() -> None:
    save("mydata")
    row, col = map(int, np.argwhere(IDS["7"] == 2)[0])
    shape = {"label": "car", "points": [[col + 0.5, row + 0.5]], "shape_type": "point", "flags": {}}
    Path("drawn").mkdir()
    Path("drawn/7.json").write_text(
        json.dumps({"shapes": [shape], "imagePath": "7.jpg", "imageHeight": 12, "imageWidth": 16, "imageData": None})
    )


def make_polygons() -> None:
    """Each pixel of a class but the first as a square of labelme's."""
    for name, ids in IDS.items():
        mini.save_image(Path(f"polygons/{name}.jpg"), ids.shape)
        shapes = [
            {"label": ("", "tree", "car")[ids[r, c]], "points": [[c, r], [c + 1, r], [c + 1, r + 1], [c, r + 1]]}
            for r, c in np.argwhere(ids > 0).tolist()
        ]
        Path(f"polygons/{name}.json").write_text(json.dumps({"shapes": shapes, "imagePath": f"{name}.jpg"}))


def with_map() -> None:
    save("mydata")
    Path("map.toml").write_text('thing = ["tree", "car"]\n')


def bare() -> None:
    save("bare", classes="")
    Path("names.csv").write_text(TABLE)


def reduced() -> None:
    def draw(ids: np.ndarray) -> np.ndarray:
        return np.where(np.arange(16) == 0, 255, ids).astype(np.uint8)

    save("reduced", "images/training/{}.jpg", "annotations/training/{}.png", draw, "")


def geotiff() -> None:
    save("geotiff", mask="masks/{}.tif", draw=lambda ids: np.where(ids == 2, np.int16(-9999), ids), classes="")


def binary() -> None:
    save("binary", draw=lambda ids: (ids > 0).astype(np.uint8) * 255, classes="")


def synthia() -> None:
    save("synthia", draw=lambda ids: np.dstack([ids, ids * 0 + 3, ids * 0]))


def scans() -> None:
    """Stored axes run to the left, back and head, so that an axial slice is the transposed mask."""
    volume = np.repeat(IDS["7"].T[:, :, np.newaxis], 2, axis=2)
    save_nifti("scans/imagesTr/case_1_0000.nii.gz", volume.astype(np.int16))
    save_nifti("scans/labelsTr/case_1.nii.gz", volume)
    Path("scans/dataset.json").write_text('{"labels": {"ground": 0, "tree": 1, "car": 2}}')


def ct() -> None:
    volume = np.repeat(IDS["7"][::-1].T[:, np.newaxis], 2, axis=1)
    save_nifti("ct/a.nii", volume.astype(np.int16))
    save_nifti("ct-labels/a.nii.gz", volume)


def save_nifti(path: str, values: np.ndarray) -> None:
    nibabel = pytest.importorskip("nibabel", reason="needs nibabel, extra medical")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1, -1, 1, 1])), path)


def stacks() -> None:
    for folder in ("images", "masks"):
        Path("stacks", folder).mkdir(parents=True)
        tifffile.imwrite(f"stacks/{folder}/a.tif", np.stack([IDS["7"]] * 3), photometric="minisblack")


#: What makes the folder of a row, by the row's last words, and the train ids that its masks mean.
ROWS: dict[str, tuple[Callable[[], object], Callable[[np.ndarray], np.ndarray]]] = {
    "20 cityscapes": (make_cityscapes, lambda ids: mini.CITYSCAPES_TRAIN_IDS),
    "20 mydata": (lambda: save("mydata"), lambda ids: ids),
    "labelled": (lambda: save("labelled", mask="labels/{}.png"), lambda ids: ids),
    "renamed": (lambda: save("renamed", "images/img_{}.jpg", "masks/MASK_{}.PNG"), lambda ids: ids),
    "together": (lambda: save("together", "{}.jpg", "{}_mask.png"), lambda ids: ids),
    "--images photos --masks elsewhere/truth": (
        lambda: save(".", "photos/{}.jpg", "elsewhere/truth/{}.png"), lambda ids: ids
    ),
    "--mask-suffix _v2": (lambda: save("mixed", "{}.png", "{}_v2.png"), lambda ids: ids),
    "20 --masks elsewhere/truth": (lambda: save("elsewhere", "no/{}.jpg", "truth/{}.png"), lambda ids: ids),
    "names.csv bare": (bare, lambda ids: ids),
    "begun.csv": (bare, lambda ids: ids),
    "colored": (lambda: save("colored", draw=COLORS.__getitem__), lambda ids: ids),
    "palette.csv": (lambda: save("palette", draw=COLORS.__getitem__, classes=""), np.array([0, 2, 1]).__getitem__),
    "nearest-colors jpegs": (make_jpegs, large),
    "binary": (binary, lambda ids: ids > 0),
    "synthia": (synthia, lambda ids: ids),
    "reduced": (reduced, lambda ids: np.where(np.arange(16) == 0, 255, ids)),
    "20 cvat": (make_cvat, lambda ids: ids),
    "labelme2voc": (make_labelme2voc, lambda ids: ids),
    "geotiff": (geotiff, lambda ids: np.where(ids == 2, 255, ids)),
    "20 scans": (scans, lambda ids: ids),
    "--masks ct-labels": (ct, lambda ids: ids),
    "stacks": (stacks, lambda ids: ids),
    "map.toml mydata": (with_map, lambda ids: np.where(ids == 0, 1, 0)),
    "20 polygons": (make_polygons, np.array([0, 2, 1]).__getitem__),
    "--out mine": (make_drawn, lambda ids: ids),
    "--out ours": (make_drawn, lambda ids: ids),
}  # fmt: skip


def sparsekit(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_every_row_is_here():
    assert len(COMMANDS) >= 20
    assert [[end for end in ROWS if command.endswith(end)] for command in COMMANDS] == [[end] for end in ROWS]


@pytest.mark.parametrize("command", COMMANDS)
def test_row(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    make, meaning = next(row for end, row in ROWS.items() if command.endswith(end))
    make()
    _, *arguments = command.split()
    sparsekit(*arguments)
    if arguments[0] == "info":
        table = arguments[-1]
        with Path(table).open(newline="") as file:
            assert len(list(csv.DictReader(file))) == 3
        arguments = ["points", "--clicks", "20", "--classes", table, arguments[1]]
        sparsekit(*arguments)
    manifest = (
        read_manifest(arguments[-1])
        if arguments[0] == "import"
        else read_manifest(next(Path("sparse").glob("*/manifest.csv")))
    )
    assert manifest.rows
    for row in manifest.rows:
        ids = IDS.get(row.image_id.split("/")[-1][-1:], IDS["7"])
        expected = meaning(ids)
        full = read_row_full_mask(manifest, row) if row.full_mask else expected
        agree = np.mean(full == expected)
        assert agree == 1 or ("jpegs" in command and agree > 0.95), command
        if row.annotation:
            sparse = read_mask(manifest.resolve(row.annotation))
            labelled = sparse != 255
            assert labelled.any() or arguments[0] == "import"
            np.testing.assert_array_equal(sparse[labelled], full[labelled])


def test_options_that_contradict_each_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("d")
    for arguments in (
        (),
        ("d", "--masks", "d/masks"),
        ("d", "--images", "d/images"),
        ("--images", "d/images"),
        ("--masks", "d/masks", "--layout", "generic"),
        ("d", "--mask-values", "colors", "--mask-channel", "red"),
    ):
        result = CliRunner().invoke(main, ["points", *arguments])
        assert result.exit_code == 2, arguments


def test_annotations_and_folders_in_the_place_of_masks_and_tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("d")
    sparsekit("points", "d", "--clicks", "1", "--out", "s")
    before = sorted(tmp_path.rglob("*"))
    for arguments, named in (
        (("--masks", "s/d-1clicks"), "s/d-1clicks/manifest.csv"),
        (("--masks", "s/d-1clicks/annotations"), "s/d-1clicks/manifest.csv"),
        (("--images", "s/d-1clicks", "--masks", "d/masks"), "s/d-1clicks/manifest.csv"),
        (("d", "--classes", "d"), "d: is a folder"),
        (("d", "--map", "d"), "d: is a folder"),
    ):
        for command in ("points", "scribbles", "info"):
            result = CliRunner().invoke(main, [command, *arguments])
            assert result.exit_code == 1 and named in result.stderr, (command, arguments, result.output)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_runs_folder_in_the_place_of_a_manifest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    Path("run/run.json").write_text("{}")
    result = CliRunner().invoke(main, ["validate", "run"])
    assert result.exit_code == 1 and "run/run.json names" in result.stderr


def test_masks_alone_all_the_way(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("d", "no/{}.jpg")
    sparsekit("points", "--masks", "d/masks", "--clicks", "5")
    manifest = "sparse/d-5clicks"
    for command in ("info", "validate", "verify", "stats", "cost", "score"):
        sparsekit(command, manifest)
    sparsekit("compare", manifest, manifest)
    sparsekit("export", manifest, "--to", "coco", "--out", "coco")
    assert [image["file_name"] for image in json.loads(next(Path("coco").rglob("*.json")).read_text())["images"]] == [
        "7.png",
        "8.png",
    ]
    result = CliRunner().invoke(main, ["render", manifest])
    assert result.exit_code == 1 and "masks only" in result.output and "--images DIR" in result.output


def test_write_classes_replaces_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("d")
    result = CliRunner().invoke(main, ["info", "d", "--write-classes", "d/classes.csv"])
    assert result.exit_code == 1 and Path("d/classes.csv").read_text() == TABLE
