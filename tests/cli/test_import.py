"""``sparsekit import``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from cli.sparsekit_cli import main
from data_manifests import read_manifest
from tests.helpers.annotation_folders import camvid
from tests.helpers.miniature_datasets import make_cityscapes, save_image, save_mask


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    return result.exit_code, result.stdout, result.stderr


def test_brings_back_an_export(tmp_path: Path) -> None:
    manifest = camvid(tmp_path).path
    assert run("export", manifest, "--to", "labelme", "--out", tmp_path / "labelme")[0] == 0
    (tmp_path / "labelme/nobody.json").write_text('{"shapes": [], "imagePath": "nobody.png"}')
    back = tmp_path / "back"
    arguments = ("import", tmp_path / "labelme", "--from", "labelme", "--dataset", tmp_path / "camvid", "--out", back)
    code, out, err = run(*arguments)
    assert code == 0 and err == "Warning: 1 annotation without an image in the dataset: nobody.png\n"
    assert out == (
        f"{back / 'manifest.csv'}\n  1 image annotated, 2 listed for evaluation\n  3 marks, 3 labelled pixels\n"
        f"Next: sparsekit render {back / 'manifest.csv'}\n"
    )
    code, _, err = run(*arguments)
    assert code == 1 and "Give --overwrite" in err
    assert run(*arguments, "--overwrite")[0] == 0
    assert run("validate", back)[0] in (0, 1)
    code, out, _ = run("diff", manifest, back)
    assert code == 0


def test_a_name_of_two_images_is_refused_and_lists_both(tmp_path: Path) -> None:
    for split in ("train", "val"):
        save_image(tmp_path / f"town/{split}/images/a.png", (4, 6))
        save_mask(tmp_path / f"town/{split}/masks/a.png", np.zeros((4, 6), np.uint8))
    shape = {"shape_type": "point", "label": "class_0", "points": [[1, 1]]}
    data = {"shapes": [shape], "imagePath": "a.png", "imageHeight": 4, "imageWidth": 6}
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/deep/a.json").write_text(json.dumps(data))
    arguments = (
        "import",
        tmp_path / "in",
        "--from",
        "labelme",
        "--dataset",
        tmp_path / "town",
        "--out",
        tmp_path / "b",
    )
    code, _, err = run(*arguments)
    assert code == 1 and "train/images/a.png" in err and "val/images/a.png" in err and not (tmp_path / "b").exists()
    (tmp_path / "in/deep/a.json").write_text(json.dumps({**data, "imagePath": "..\\..\\val\\images\\a.png"}))
    assert run(*arguments)[0] == 0
    assert [row.image_id for row in read_manifest(tmp_path / "b").rows] == ["val/a"]


def test_a_value_of_no_label_that_is_named(tmp_path: Path) -> None:
    save_image(tmp_path / "town/images/a.png", (4, 6))
    save_mask(tmp_path / "town/masks/a.png", np.ones((4, 6), np.uint8))
    label_map = np.zeros((4, 6), np.uint8)
    label_map[2, 3:5] = 1
    save_mask(tmp_path / "in/a.png", label_map)
    (tmp_path / "classes.csv").write_text("name,id\nroad,0\ncar,1\n")
    words = ("import", tmp_path / "in", "--from", "agmm", "--dataset", tmp_path / "town")
    words = (*words, "--classes", tmp_path / "classes.csv", "--out", tmp_path / "back")
    code, _, err = run(*words, "--unlabelled", 0)
    assert code == 0, err
    (row,) = read_manifest(tmp_path / "back").rows
    assert (row.num_labelled, row.classes_labelled) == (2, (1,))


def test_images_without_full_masks(tmp_path: Path) -> None:
    save_image(tmp_path / "ds/images/deep/a.png", (4, 6))
    shapes = [{"shape_type": "point", "label": name, "points": [[x, 1]]} for x, name in ((1, "oak"), (4, "ground"))]
    (tmp_path / "in").mkdir()
    data = {"shapes": shapes, "imagePath": "a.png", "imageHeight": 4, "imageWidth": 6}
    (tmp_path / "in/a.json").write_text(json.dumps(data))
    out = tmp_path / "bought"
    arguments = ("import", tmp_path / "in", "--from", "labelme", "--images", tmp_path / "ds/images", "--out", out)
    code, _, err = run(*arguments)
    assert code == 1 and "classes.csv" in err and "--classes" in err and not out.exists()
    (tmp_path / "ds/classes.csv").write_text("id,name\n0,ground\n1,oak\n")
    assert run(*arguments)[0] == 0
    (row,) = read_manifest(out).rows
    assert (row.image_id, row.split, row.full_mask, row.num_labelled) == ("deep/a", "train", "", 2)
    assert list(row.classes_labelled) == [0, 1] and read_manifest(out).info.dataset == "ds"
    assert run("validate", out)[0] == 0
    code, _, err = run("stats", out)
    assert code == 1 and "'deep/a' has no full mask" in err
    assert run(*arguments, "--overwrite", "--mask-values", "colors")[0] == 2
    assert run(*arguments, "--overwrite", "--dataset", tmp_path / "ds")[0] == 2
    code, _, err = run("import", tmp_path / "in", "--from", "labelme", "--dataset", tmp_path / "ds", "--out", out)
    assert code == 1 and "--images DIR alone" in err
    assert run("points", "--images", tmp_path / "ds/images", "--clicks", 1)[0] == 2


def test_options_for_what_others_have_drawn(tmp_path: Path) -> None:
    save_image(tmp_path / "ds/images/a.png", (4, 6))
    save_mask(tmp_path / "ds/masks/a.png", np.zeros((4, 6), np.uint8))
    (tmp_path / "ds/classes.csv").write_text("id,name\n0,ground\n1,oak\n2,elm\n")
    (tmp_path / "in").mkdir()
    shapes = [
        {"shape_type": kind, "label": label, "points": [[number, 1]]}
        for number, (kind, label) in enumerate(
            [("point", "Oak"), ("point", "sky"), ("spiral", "oak"), ("point", "elm")]
        )
    ]
    data = {"shapes": shapes, "imagePath": "a.png", "imageHeight": 4, "imageWidth": 6}
    (tmp_path / "in/a.json").write_text(json.dumps(data))
    arguments = (
        "import",
        tmp_path / "in",
        "--from",
        "labelme",
        "--dataset",
        tmp_path / "ds",
        "--out",
        tmp_path / "back",
    )
    assert "--map Oak=oak" in run(*arguments, "--skip-unsupported", "--ignore-class", "sky")[2]
    given = ("--map", "Oak=oak", "--ignore-class", "sky", "--skip-unsupported")
    code, out, err = run(*arguments, *given)
    assert code == 0 and "2 marks" in out and "'sky' left out (1)" in err and "'spiral': left out (1)" in err
    # What a file puts together goes by its old names in the annotations.
    (tmp_path / "map.toml").write_text('tree = ["oak", "elm"]')
    given = ("--map", "Oak=tree", "--ignore-class", "sky", "--skip-unsupported")
    code, out, err = run(*arguments, "--map", tmp_path / "map.toml", *given, "--overwrite")
    assert (code, "2 marks" in out) == (0, True)
    assert read_manifest(tmp_path / "back").label_space.class_names == ("tree", "ground")


def test_brings_back_boxes_as_label_maps(tmp_path: Path) -> None:
    dataset = make_cityscapes(tmp_path / "cityscapes")
    assert run("marks", "--kind", "box", dataset, "--out", tmp_path / "sparse")[0] == 0
    boxes = tmp_path / "sparse/cityscapes-boxes"
    for format_ in ("agmm", "tel", "urss"):
        assert run("export", boxes, "--to", format_, "--out", tmp_path / format_)[0] == 0
        back = tmp_path / f"{format_}-back"
        code, out, err = run("import", tmp_path / format_, "--from", format_, "--dataset", dataset, "--out", back)
        assert (code, err) == (0, "") and "2 images annotated, 1 listed for evaluation" in out
        pixels = [[row.annotation_sha256 for row in read_manifest(folder).rows] for folder in (boxes, back)]
        assert pixels[0] == pixels[1] and len(pixels[0]) == 3


def test_names_annotations_of_coco_whose_image_is_not_listed(tmp_path: Path) -> None:
    assert run("export", camvid(tmp_path).path, "--to", "coco", "--out", tmp_path / "coco")[0] == 0
    path = tmp_path / "coco/annotations/instances_train.json"
    data = json.loads(path.read_text())
    data["annotations"][0]["image_id"] = 999
    path.write_text(json.dumps(data))
    dataset = ("--dataset", tmp_path / "camvid")
    code, out, err = run("import", tmp_path / "coco", "--from", "coco", *dataset, "--out", tmp_path / "back")
    assert code == 0 and "  2 marks" in out
    assert err == "Warning: 1 annotation without an image in the dataset: image_id 999\n"


def test_bad_input(tmp_path: Path) -> None:
    camvid(tmp_path)
    dataset = tmp_path / "camvid"
    code, _, err = run("import", tmp_path / "no", "--from", "coco", "--dataset", dataset, "--out", tmp_path / "x")
    assert code == 1 and err.startswith("Error: ") and "no such folder" in err and err.count("\n") == 1
    (file := tmp_path / "coco.json").write_text("{}")
    code, _, err = run("import", file, "--from", "coco", "--dataset", dataset, "--out", tmp_path / "x")
    assert code == 1 and "coco.json: is a file" in err
    code, _, err = run("import", tmp_path, "--from", "coco", "--dataset", tmp_path / "no", "--out", tmp_path / "x")
    assert code == 1 and "no such folder" in err
    code, _, err = run("import", tmp_path, "--from", "hf", "--dataset", dataset, "--out", tmp_path / "x")
    assert code == 2 and "'hf' is not one of" in err
