"""Annotations made again are the same, wherever everything was moved to, until a single pixel changes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.sparsekit_cli import main
from data_manifests import read_manifest
from data_manifests.files.masks import read_mask
from data_manifests.manifest.derive import merge_manifests, subset_manifest
from sparsekit.errors import AnnotationError
from sparsekit.synthesis.verify import annotator_from_settings, verify_manifest
from tests.helpers import miniature_datasets as mini
from tests.helpers.real_data import real_data


def sparsekit(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def annotate(root, out, *arguments, command="points"):
    result = sparsekit(command, *arguments, "--out", out, root)
    assert result.exit_code == 0, result.output
    return read_manifest(next(out.glob(f"{root.name}-*")))


@pytest.fixture
def made(tmp_path):
    """Five random clicks on each of two miniature frames of Cityscapes."""
    root = mini.make_cityscapes(tmp_path / "all" / "city")
    return annotate(root, tmp_path / "all" / "sparse", "--clicks", 5, "--seed", 3)


def kinds(manifest, *arguments, **options):
    return [(problem.kind, problem.image_id) for problem in verify_manifest(manifest, *arguments, **options)]


AACHEN, BOCHUM = "aachen_000000_000019", "bochum_000001_000019"


def change_pixel(path):
    values = read_mask(path).copy()
    values[0, 0] = 8 if values[0, 0] != 8 else 7
    Image.fromarray(values).save(path)


def test_the_same_again(made):
    assert kinds(made) == [] and kinds(made, workers=2) == []
    assert kinds(made, made.path.parents[2] / "city") == []


def test_the_same_after_a_copy_of_everything(made, tmp_path):
    shutil.copytree(tmp_path / "all", tmp_path / "elsewhere" / "copy")
    shutil.rmtree(tmp_path / "all")
    moved = tmp_path / "elsewhere" / "copy" / "sparse" / made.path.parent.name
    assert kinds(read_manifest(moved)) == []


def test_the_same_from_a_copy_of_the_data_in_another_encoding(made, tmp_path):
    other = mini.make_cityscapes(tmp_path / "other", ("labelIds", "labelTrainIds"))
    assert made.info.mask_encoding == "class_ids"
    assert kinds(made, other) == []


@pytest.mark.parametrize("kinds_of_masks", [("labelIds",), ("labelTrainIds",)])
def test_with_merged_classes(tmp_path, kinds_of_masks):
    root = mini.make_cityscapes(tmp_path / "city", kinds_of_masks)
    (tmp_path / "map.toml").write_text('ground = ["road", "sidewalk"]\nvoid = ["sky"]\n')
    made = annotate(root, tmp_path / "sparse", "--clicks", 5, "--map", tmp_path / "map.toml")
    assert made.label_space.class_names[:2] == ("ground", "building")
    assert set().union(*(row.classes_labelled for row in made.rows)) == {0, made.label_space.class_names.index("car")}
    assert kinds(made) == [] and kinds(made, root) == []


@pytest.mark.parametrize(
    ("column", "kind"), [("full_mask", "mask"), ("annotation", "file")], ids=["full mask", "annotation"]
)
def test_one_changed_pixel(made, column, kind):
    change_pixel(made.resolve(getattr(made.rows[0], column)))
    assert kinds(made) == [(kind, AACHEN)]


def test_other_seed(made):
    info = json.loads(made.path.with_suffix(".json").read_text())
    info["settings"]["seed"] = 4
    made.path.with_suffix(".json").write_text(json.dumps(info))
    assert kinds(read_manifest(made.path)) == [("annotation", AACHEN), ("annotation", BOCHUM)]


def test_a_layout_that_is_not_known_here(made, tmp_path):
    of_another = replace(made, info=replace(made.info, layout="my_dataset"))
    with pytest.raises(AnnotationError, match="its layout 'my_dataset' does not exist in this version.*omit --dataset"):
        verify_manifest(of_another, tmp_path)
    assert kinds(of_another) == []


def test_missing_images_and_files(made, tmp_path):
    city = made.path.parents[2] / "city"
    for path in city.rglob("bochum_*"):
        path.unlink()
    made.resolve(made.rows[0].annotation).unlink()
    assert kinds(made, city) == [("missing", AACHEN), ("missing", BOCHUM)]


def test_subsets_can_be_verified_and_merged_origins_cannot(made, tmp_path):
    subset_manifest(made, tmp_path / "one", split="train", count=1).write()
    assert kinds(read_manifest(tmp_path / "one")) == []
    merge_manifests([made, made], tmp_path / "twice", prefix=True).write()
    with pytest.raises(AnnotationError, match="'merge' cannot be reproduced.*verify the sources"):
        verify_manifest(read_manifest(tmp_path / "twice"))


def test_nothing_annotated(made):
    val = type(made)(made.path, made.rows_of("val"), made.info)
    with pytest.raises(AnnotationError, match="no row has an annotation to verify"):
        verify_manifest(val)


@pytest.fixture
def street(tmp_path):
    """Two frames of Cityscapes with one instance on the road."""
    root = tmp_path / "street"
    scene = np.zeros((40, 60), np.uint8)
    scene[:20], scene[20:], scene[25:35, 5:20] = 23, 7, 26
    for split in ("train", "val"):
        key = f"leftImg8bit/{split}/a/a_000000_00000{len(split)}"
        mini.save_image(root / f"{key}_leftImg8bit.png", (40, 60))
        truth = root / key.replace("leftImg8bit", "gtFine", 1)
        mini.save_mask(truth.with_name(f"{truth.name}_gtFine_labelIds.png"), scene)
        instances = np.where(scene == 26, 26001, scene.astype(np.uint16))
        mini.save_mask(truth.with_name(f"{truth.name}_gtFine_instanceIds.png"), instances)
    return root


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        *[("scribbles", ("--length", 0.6, "--per", per)) for per in ("region", "instance", "class")],
        *[
            ("points", ("--clicks", 3, "--strategy", strategy, "--margin", 1, "--seed", 4))
            for strategy in ("uniform", "class-balanced", "per-class", "per-instance", "center")
        ],
        ("marks", ("--kind", "block", "--share", 0.3)),
        ("marks", ("--kind", "box", "--per", "instance")),
        ("marks", ("--kind", "coarse", "--margin", 3)),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value)).replace("--", ""),
)
def test_every_kind_of_annotation(street, tmp_path, command, arguments):
    made = annotate(street, tmp_path / "sparse", *arguments, command=command)
    if "instance" in "".join(map(str, arguments)):
        with pytest.raises(AnnotationError, match="made with true instances. Give the dataset with --dataset"):
            verify_manifest(made)
    else:
        assert kinds(made) == []
    assert kinds(made, street) == []
    (row,) = made.rows_of("train")
    change_pixel(made.resolve(row.full_mask))
    assert kinds(made, street) == [("mask", row.image_id)]


def test_marks_with_another_setting_are_found_out(street, tmp_path):
    made = annotate(street, tmp_path / "sparse", "--kind", "block", "--share", 0.3, command="marks")
    info = json.loads(made.path.with_suffix(".json").read_text())
    info["settings"]["share"] = 0.8
    made.path.with_suffix(".json").write_text(json.dumps(info))
    assert kinds(read_manifest(made.path)) == [("annotation", made.rows_of("train")[0].image_id)]


class TestSettings:
    def test_what_a_newer_version_added_is_taken_at_its_default(self):
        assert annotator_from_settings("points", {"seed": 0, "splits": ["train"], "clicks_per_image": 7}).variants()

    @pytest.mark.parametrize(
        ("command", "settings", "message"),
        [
            ("", {}, "command 'unknown' cannot be reproduced"),
            ("points", {}, "cannot be understood"),
            ("scribbles", {"width": 3}, "cannot be understood"),
            ("marks", {"kind": "block"}, "cannot be understood"),
            ("points", {"clicks_per_image": 0}, "cannot be understood.*at least 1"),
            (
                "points",
                {"clicks_per_image": 5, "colour": "red"},
                "understands .*use the version that the manifest names",
            ),
        ],
    )
    def test_what_cannot_be_understood(self, command, settings, message):
        with pytest.raises(AnnotationError, match=message):
            annotator_from_settings(command, settings)

    @pytest.mark.parametrize("value", [5.0, -3, "5", None, True, [5], {}, 1e300, 10**400])
    @pytest.mark.parametrize(
        ("command", "arguments", "names"),
        [
            ("points", ("--clicks", 5), ("clicks_per_image", "margin", "jitter", "min_distance", "wrong", "strategy")),
            ("scribbles", (), ("length", "per", "strokes", "width", "wobble", "tolerance")),
            ("marks", ("--kind", "block", "--share", 0.5), ("share", "kind", "per")),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_edited_settings_are_one_error(self, street, tmp_path, command, arguments, names, value):
        made = annotate(street, tmp_path / "sparse", *arguments, command=command)
        path = made.path.with_suffix(".json")
        info = json.loads(path.read_text())
        for name in names:
            if (name, value) in (("clicks_per_image", 10**400), ("tolerance", 5.0)):
                continue  # as good as any other
            path.write_text(json.dumps({**info, "settings": {**info["settings"], name: value}}))
            result = sparsekit("verify", made.path)
            assert result.exit_code == 1 and isinstance(result.exception, SystemExit), name
            assert result.stdout == "" and len(result.stderr.splitlines()) == 1, name
            assert "cannot be understood" in result.stderr and name in result.stderr, name

    @pytest.mark.parametrize("seed", [3.0, "3", None, True, [3]])
    def test_a_seed_is_a_whole_number(self, seed):
        with pytest.raises(AnnotationError, match="seed must be a whole number, got"):
            annotator_from_settings("points", {"seed": seed, "clicks_per_image": 5})


class TestCommand:
    def test_green_and_red(self, made):
        result = sparsekit("verify", made.path.parent)
        assert result.exit_code == 0 and "2 annotations" in result.stdout
        change_pixel(made.resolve(made.rows[0].annotation))
        result = sparsekit("verify", made.path)
        assert result.exit_code == 1 and "1 of 2 images differs" in result.stdout and "[file]" in result.stdout
        data = json.loads(sparsekit("verify", made.path, "--json").stdout)
        assert [p["kind"] for p in data["problems"]] == ["file"] and data["num_images"] == 2

    def test_masks_that_moved(self, made):
        (made.path.parents[2] / "city").rename(made.path.parents[2] / "moved")
        result = sparsekit("verify", made.path)
        assert result.exit_code == 1 and "2 of 2 images differ" in result.stdout and "--data-root" in result.stdout
        assert sparsekit("verify", made.path, "--data-root", made.path.parents[2] / "moved").exit_code == 0

    def test_nothing_is_written(self, made):
        before = {p: p.stat().st_mtime_ns for p in made.path.parents[2].rglob("*")}
        sparsekit("verify", made.path, "--dataset", made.path.parents[2] / "city")
        assert {p: p.stat().st_mtime_ns for p in made.path.parents[2].rglob("*")} == before

    def test_another_dataset(self, made, tmp_path):
        result = sparsekit("verify", made.path, "--dataset", mini.make_camvid(tmp_path / "camvid"))
        assert result.exit_code == 1 and result.stderr.startswith("Error: ") and "leftImg8bit" in result.stderr
        assert "use --data-root instead" in result.stderr

    @pytest.mark.parametrize(
        ("command", "arguments"), [("points", ("--clicks", 30)), ("scribbles", ()), ("marks", ("--kind", "coarse"))]
    )
    def test_real_data(self, tmp_path, command, arguments):
        root = real_data("voc_sample")
        made = annotate(root, tmp_path, *arguments, command=command)
        result = sparsekit("verify", made.path, "--dataset", root)
        assert result.exit_code == 0, result.output
