"""``sparsekit info`` of datasets and manifests."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.sparsekit_cli import main
from data_manifests import Mark
from tests.helpers import miniature_datasets as mini
from tests.helpers.real_data import real_data
from tests.sparsekit.conftest import SCENE, tiny_manifest


def sparsekit(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def info(*arguments):
    result = sparsekit("info", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


class TestDataset:
    def test_counts_against_numpy(self, tmp_path):
        described = info(mini.make_cityscapes(tmp_path))
        assert described["layout"] == "cityscapes" and described["mask_encoding"] == "class_ids"
        assert described["splits"] == {"train": 2, "val": 1} and described["sizes"] == {"6x4": 3}
        assert described["mask_files"] == {"png, uint8": 3} and described["instances"] == 3
        train_ids = mini.CITYSCAPES_TRAIN_IDS
        assert described["void_share"] == pytest.approx(np.mean(train_ids == 255))
        by_name = {c["name"]: c for c in described["classes"]}
        assert by_name["car"] == {
            "train_id": 13,
            "class_ids": [26],
            "name": "car",
            "images": 3,
            "share": pytest.approx(np.mean(train_ids[train_ids != 255] == 13)),
        }
        assert by_name["bus"]["images"] == 0 and by_name["bus"]["share"] == 0
        assert described["anomalies"][0].startswith("16 classes occur in no mask: sidewalk, building")
        assert info(tmp_path, "--workers", 3) == described

    def test_oddities_are_told_and_the_rest_still_counted(self, tmp_path):
        mini.make_generic(tmp_path)
        (tmp_path / "classes.csv").write_text("id,name\n0,a\n1,b\n4,c\n")
        mini.save_mask(tmp_path / "masks" / "b.png", [[9, 9, 9], [0, 0, 0]])
        for name, values in {"c": [[255]], "d": [[0]]}.items():
            mini.save_mask(tmp_path / "masks" / f"{name}.png", values)
            mini.save_image(tmp_path / "images" / f"{name}.png", (1, 1) if name == "c" else (2, 2))
        described = info(tmp_path)
        assert described["splits"] == {"train": 4} and described["sizes"] == {"3x2": 1, "1x1": 1}
        wrong_ids, wrong_size, void = described["anomalies"]
        assert "b.png: ids 9 are outside the label space" in wrong_ids
        assert "d.png: mask is 1x1 (width x height) but its image" in wrong_size and "is 2x2. Give both" in wrong_size
        assert void == "1 mask is void everywhere: c."
        assert [c["images"] for c in described["classes"]] == [1, 1, 1]

    def test_images_of_a_turned_camera_are_told(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 3
        Image.new("RGB", (3, 2)).save(mini.make_generic(tmp_path) / "images" / "b.jpg", exif=exif)
        no_classes, rotated = info(tmp_path)["anomalies"]
        assert no_classes.startswith("no classes.csv in ")
        assert rotated.startswith("1 of 2 images has an EXIF rotation. Images are read as viewers display them")

    def test_masks_without_a_list_are_told(self, tmp_path):
        assert any("because no list" in a for a in info(mini.make_voc(tmp_path, augmented=True))["anomalies"])

    def test_many_sizes_and_many_problems_are_summed_up(self, tmp_path):
        for i in range(8):
            mini.save_image(tmp_path / "images" / f"{i}.png", (i + 1, 2))
            mini.save_mask(tmp_path / "masks" / f"{i}.png", np.zeros((i + 1, 2)))
        for i in range(13):
            mini.save_image(tmp_path / "images" / f"x{i:02}.png", (2, 2))
            mini.save_mask(tmp_path / "masks" / f"x{i:02}.png", [[0]])
        described = info(tmp_path)
        assert described["sizes"]["3 other sizes"] == 3
        assert described["anomalies"][11] == "3 more masks or images cannot be used."

    def test_numbers_are_written_for_people(self, tmp_path):
        marks = [[Mark("click", 0, i // 60, i % 60) for i in range(3000)]]
        manifest = tiny_manifest(tmp_path, [np.zeros((60, 60), np.uint8)], marks=marks)
        text = sparsekit("info", manifest.path).stdout
        assert "sum: 3,000, per image: 3,000, fewest: 3,000, most: 3,000, share: 83.33 %" in text
        mini.make_generic(tmp_path / "mine")
        assert "void share 16.67 %" in " ".join(sparsekit("info", tmp_path / "mine").stdout.split())

    def test_classes_from_a_toml(self, tmp_path):
        (tmp_path / "classes.toml").write_text('[[classes]]\nname = "all"\nclass_ids = [0, 1, 4]\n')
        described = info(mini.make_generic(tmp_path), "--classes", tmp_path / "classes.toml")
        assert [c["name"] for c in described["classes"]] == ["all"]

    def test_polygons_of_another_tool(self, tmp_path):
        ids = np.zeros((6, 8), np.uint8)
        ids[1:4, 2:7] = 1
        mini.save_image(tmp_path / "drawn/a.png", ids.shape)
        shape = {"label": "car", "shape_type": "rectangle", "points": [[2, 1], [7, 4]]}
        text = json.dumps({"shapes": [shape], "imagePath": "a.png", "imageHeight": 6, "imageWidth": 8})
        (tmp_path / "drawn/a.json").write_text(text)
        described = info(tmp_path / "drawn")
        assert [(c["name"], round(c["share"] * ids.size)) for c in described["classes"]] == [
            ("background", np.count_nonzero(ids == 0)),
            ("car", np.count_nonzero(ids)),
        ]
        assert [path.name for path in tmp_path.iterdir()] == ["drawn"]

    def test_class_map(self, tmp_path):
        (tmp_path / "map.json").write_text('{"ground": ["road", "sidewalk"], "void": ["sky"]}')
        described = info(mini.make_cityscapes(tmp_path), "--map", tmp_path / "map.json")
        assert [c["name"] for c in described["classes"]][:2] == ["ground", "building"] and len(
            described["classes"]
        ) == 17
        (tmp_path / "map.json").write_text('{"ground": ["raod"]}')
        result = sparsekit("info", tmp_path, "--map", tmp_path / "map.json")
        assert result.exit_code == 1 and "Unknown classes in the map: raod" in result.stderr

    def test_table(self, tmp_path):
        result = sparsekit("info", mini.make_camvid(tmp_path))
        assert result.exit_code == 0
        assert "splits         test: 1, train: 1, val: 1\n" in result.stdout
        assert (
            "  0  Sky               3   20.00%\n" in result.stdout
            and "Note: 6 classes occur in no mask" in result.stdout
        )

    def test_unclear(self, tmp_path):
        result = sparsekit("info", tmp_path)
        assert result.exit_code == 1 and "fits no known layout" in result.stderr and "--layout" in result.stderr

    def test_real_camvid_shares(self):
        described = info(real_data("camvid"), "--workers", 2)
        assert described["splits"] == {"test": 233, "train": 367, "val": 101} and described["anomalies"] == []
        assert sum(c["share"] for c in described["classes"]) == pytest.approx(1)
        assert {c["name"]: round(c["share"], 2) for c in described["classes"]}["Road"] == 0.30


class TestManifest:
    def test_rows_are_summed_up(self, tmp_path):
        tiny_manifest(tmp_path, (SCENE, SCENE.T, SCENE), num_val=1)
        described = info(tmp_path)
        assert described == info(tmp_path / "manifest.csv")
        assert described["splits"] == {"train": 2, "val": 1} and described["annotated"] == {"train": 2}
        assert described["labelled_pixels"] == {"sum": 4, "per_image": 2, "fewest": 2, "most": 2, "share": 4 / 128}
        assert [c["images"] for c in described["classes"]] == [2, 2, 0]
        assert described["anomalies"] == ["1 class without any label: class_2."]

    def test_options_of_datasets_are_refused(self, tmp_path):
        tiny_manifest(tmp_path)
        result = sparsekit("info", tmp_path, "--layout", "cityscapes")
        assert result.exit_code == 2 and "the options that describe a dataset" in result.stderr
        result = sparsekit("info", tmp_path / "manifest.json")
        assert result.exit_code == 1 and "Give manifest.csv, or their folder." in result.stderr

    def test_annotations_without_a_label(self, tmp_path):
        tiny_manifest(tmp_path, (SCENE, SCENE), marks=[[], []])
        assert info(tmp_path)["anomalies"][0] == "2 annotations without any label: image_0, image_1."
        result = sparsekit("info", tmp_path)
        assert "labelled pixels   sum: 0, per image: 0" in result.stdout and "Note: 2 annotations" in result.stdout
