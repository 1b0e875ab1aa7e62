from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from agmm.config.loss import resolve_options
from agmm.data.masked_images import image_tensor, to_network
from agmm.errors import TrainingError
from agmm.inference.predict import predict_images
from agmm.inference.protocols import Protocol, predict_mixture
from agmm.inference.sources import find_images
from agmm.runs.checkpoint import load_run, save_checkpoint
from cli.agmm_cli import main
from data_manifests import DataError, LabelSpace, Manifest, read_manifest, write_manifest
from data_manifests.files.atomic import write_atomically
from data_manifests.files.images import read_image
from data_manifests.files.masks import encode_label_map, pixel_sha256, read_mask
from tests.agmm.conftest import tiny_manifest
from tests.helpers.tiny_run import tiny_run


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return read_manifest(tiny_manifest(tmp_path / "data"))


@pytest.fixture
def run(tmp_path: Path, manifest: Manifest) -> Path:
    return tiny_run(tmp_path / "run", manifest)


def test_writes_what_the_network_says(run: Path, manifest: Manifest, tmp_path: Path) -> None:
    out, folder = tmp_path / "out", tmp_path / "data/images"
    all_shown = find_images([folder], out)
    summary = predict_images(
        run, all_shown, out, protocol="sliding", overlays=True, probabilities=True, gmm_manifest=manifest, device="cpu"
    )
    assert (summary.num_images, summary.num_mixtures) == (4, 3)
    loaded = load_run(run)
    for name in ("a00", "a03"):
        image = read_image(folder / f"{name}.png")
        with torch.inference_mode():
            probs = Protocol("sliding", tile_size=48).predict(loaded.model, to_network(image_tensor(image), "cpu"))[0]
        label_map = read_mask(out / f"label_maps/{name}.png")
        np.testing.assert_array_equal(label_map, probs.argmax(0))
        saved = np.load(out / f"probabilities/{name}.npy")
        assert saved.dtype == np.float16
        np.testing.assert_allclose(saved, probs, atol=1e-3)
        with Image.open(out / f"label_maps/{name}.png") as shown:
            assert shown.mode == "P"
            np.testing.assert_array_equal(shown.convert("RGB"), manifest.label_space.palette[label_map])
        expected = (image.astype(int) + manifest.label_space.palette[label_map]) // 2
        overlay = read_image(out / f"overlays/{name}.jpg").astype(int)
        assert np.abs(overlay - expected).mean() < 10  # JPEG
    row = manifest.rows[0]
    with torch.inference_mode():
        options = resolve_options("released")
        mixture = predict_mixture(
            loaded.model, manifest, row, image_tensor(read_image(folder / "a00.png")), options, "cpu"
        )
    np.testing.assert_array_equal(read_mask(out / "mixture/a00.png"), mixture[0].argmax(0))
    assert not (out / "mixture/a03.png").exists()  # no annotation to start from


def test_without_a_label_the_mixture_has_no_class(run: Path, manifest: Manifest, tmp_path: Path) -> None:
    space, (first, *others) = manifest.label_space, manifest.rows
    nothing = np.full((first.height, first.width), space.unlabelled_value, space.dtype)
    write_atomically(manifest.resolve(first.annotation), encode_label_map(nothing, space))
    first = replace(first, num_labelled=0, classes_labelled=(), annotation_sha256=pixel_sha256(nothing))
    bare, image = replace(manifest, rows=(first, *others)), tmp_path / "data/images/a00.png"
    predict_images(run, {Path("a00"): image}, tmp_path / "out", gmm_manifest=bare, device="cpu")
    np.testing.assert_array_equal(read_mask(tmp_path / "out/mixture/a00.png"), nothing)


def test_only_what_was_asked_for_is_written(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict_images(run, find_images([tmp_path / "data/images/a00.png"], out), out, device="cpu")
    assert [p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()] == ["label_maps/a00.png"]


def test_images_keep_their_place_and_results_are_not_taken_for_images(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for name in ("a.jpg", "deep/a.png", "deep/b.v2.tif", "out/label_maps/a.png", "notes.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = find_images([folder], folder / "out")
    assert {key.as_posix(): value.relative_to(folder).as_posix() for key, value in found.items()} == {
        "a": "a.jpg", "deep/a": "deep/a.png", "deep/b.v2": "deep/b.v2.tif",
    }  # fmt: skip


@pytest.mark.parametrize("out", [".", "images"], ids=["above", "the same"])
def test_results_may_go_where_the_images_are(run: Path, tmp_path: Path, out: str) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(tmp_path / "data/images/a00.png", folder)
    for _ in range(2):  # the second time all results are there
        found = find_images([folder], tmp_path / out)
        assert found == {Path("a00"): folder / "a00.png"}
        predict_images(run, found, tmp_path / out, overlays=True, probabilities=True, device="cpu")
    assert {path.name for path in (tmp_path / out).iterdir() if path.is_dir()} >= {"label_maps", "overlays"}


def test_names_with_dots_stay_whole(run: Path, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "data/images/a00.png", tmp_path / "frame.0001.v2.png")
    out = tmp_path / "out"
    predict_images(run, find_images([tmp_path / "frame.0001.v2.png"], out), out, device="cpu")
    assert (out / "label_maps/frame.0001.v2.png").is_file()


def test_links_in_a_circle_are_images_that_cannot_be_read(run: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").symlink_to("a.png")
    found, problems = find_images([tmp_path / "in"], tmp_path / "out"), list[str]()
    predict_images(run, found, tmp_path / "out", device="cpu", on_problem=problems.append)
    assert len(problems) == 1 and "a.png" in problems[0]


def test_finding_refuses(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="absent: no such image or folder"):
        find_images([tmp_path / "absent"], tmp_path / "out")
    with pytest.raises(TrainingError, match="contains no images"):
        find_images([tmp_path], tmp_path / "out")
    (tmp_path / "a.bmp").touch()
    (tmp_path / "a.png").touch()
    with pytest.raises(TrainingError, match=r"a.bmp and .*a.png would both be written as 'a'"):
        find_images([tmp_path], tmp_path / "out")


def test_command(run: Path, manifest: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["predict", str(run), str(tmp_path / "data/images"), "--out", str(out), "--gmm", str(manifest.path)]
    result = CliRunner().invoke(main, [*arguments, "--overlays", "--probabilities", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"Segmented 4 images: {out}/label_maps",
        f"Overlays: {out}/overlays",
        f"Probabilities: {out}/probabilities",
        f"Gaussian mixture of 3 annotated images: {out}/mixture",
    ]
    assert len(list(out.rglob("*.*"))) == 4 + 4 + 4 + 3


def test_command_refuses_images_that_the_manifest_does_not_annotate(
    run: Path, manifest: Manifest, tmp_path: Path
) -> None:
    shown = tmp_path / "data/images/a03.png"
    arguments = ["predict", str(run), str(shown), "--out", str(tmp_path / "out"), "--gmm", str(manifest.path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert f"annotates none of the images, such as {shown}" in result.stderr
    assert not (tmp_path / "out").exists()


def test_command_names_a_damaged_image(run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes((tmp_path / "data/images/a00.png").read_bytes()[:100])
    result = CliRunner().invoke(main, ["predict", str(run), str(tmp_path / "bad.png"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "bad.png: the image is damaged" in result.stderr


def test_command_goes_on_past_damaged_images(run: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "mixed", tmp_path / "out"
    shutil.copytree(tmp_path / "data/images", folder)
    (folder / "a01.png").write_bytes((folder / "a01.png").read_bytes()[:100])
    (folder / "a00b.jpg").write_bytes(b"no image")
    arguments = ["predict", str(run), str(folder), "--out", str(out), "--device", "cpu"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [f"Segmented 3 images: {out}/label_maps"]
    assert {path.stem for path in (out / "label_maps").iterdir()} == {"a00", "a02", "a03"}
    first, second, last = result.stderr.splitlines()
    assert first.startswith(f"Warning: {folder}/a00b.jpg: ") and second.startswith(f"Warning: {folder}/a01.png: ")
    assert last == "Error: 2 of 5 images could not be read."
    with pytest.raises(DataError, match="a00b.jpg"):
        predict_images(run, find_images([folder], out), out, device="cpu")


def test_files_in_a_folder_that_are_not_taken_for_images_are_told(run: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "mixed", tmp_path / "mixed/out"
    folder.mkdir()
    shown = Image.open(tmp_path / "data/images/a00.png")
    for name in ("a.PNG", "b.ppm", "c.PPM", "d.jp2"):
        shown.save(folder / name)
    for name in ("notes", ".hidden.txt", "out/probabilities/a.npy"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    arguments = ["predict", str(run), str(folder), "--out", str(out), "--device", "cpu"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    told = f"{folder}: skipped 4 files (2 .ppm, 1 .jp2, 1 no ending). In folders, only files ending in"
    assert result.stderr.startswith(f"Warning: {told}") and len(result.stderr.splitlines()) == 1
    assert result.stdout.startswith("Segmented 1 image:")
    (folder / "a.PNG").unlink()
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1 and f"contains no images. {told}" in result.stderr
    result = CliRunner().invoke(main, [*arguments, str(folder / "b.ppm")])  # one that is named is read
    assert result.exit_code == 0 and (out / "label_maps/b.png").is_file()


def test_nothing_is_written_outside_of_the_folder(run: Path, tmp_path: Path) -> None:
    image, out = tmp_path / "data/images/a00.png", tmp_path / "deep/out"
    for name in (Path("../../../evil"), tmp_path / "evil"):
        with pytest.raises(DataError, match="lies outside"):
            predict_images(run, {name: image}, out, device="cpu")
    (out / "label_maps").mkdir(parents=True)
    (out / "label_maps/link").symlink_to(tmp_path)
    with pytest.raises(DataError, match="lies outside"):
        predict_images(run, {Path("link/evil"): image}, out, device="cpu")
    assert not list(tmp_path.rglob("*evil*"))


def test_predicts_in_the_ids_of_the_dataset(run: Path, manifest: Manifest, tmp_path: Path) -> None:
    """Through a network whose label space numbers its classes otherwise, as Cityscapes' labelIds do."""
    loaded = load_run(run)
    own = (7, 8, 11, 12)
    classes = tuple(replace(c, class_ids=(i,)) for c, i in zip(loaded.label_space.classes, own, strict=True))
    info = replace(loaded.info, label_space=LabelSpace("own", classes))
    save_checkpoint(tmp_path / "own.safetensors", loaded.model.state_dict(), info)
    image = tmp_path / "data/images/a00.png"
    label_maps = []
    for ids in ("train", "class"):
        words = ["predict", tmp_path / "own.safetensors", image, "--out", tmp_path / ids, "--ids", ids]
        result = CliRunner().invoke(main, list(map(str, words)))
        assert result.exit_code == 0, result.output
        with Image.open(tmp_path / ids / "label_maps/a00.png") as written:
            assert written.mode == ("P" if ids == "train" else "L")
            label_maps.append(np.asarray(written))
    np.testing.assert_array_equal(np.array(own)[label_maps[0]], label_maps[1])
    with pytest.raises(ValueError, match="train, class"):
        predict_images(run, {Path("a"): image}, tmp_path / "x", ids="colour")  # type: ignore[arg-type]


def test_images_of_a_manifest_are_named_by_their_ids(run: Path, manifest: Manifest, tmp_path: Path) -> None:
    rows = tuple(replace(row, image_id=f"town/{row.image_id}") for row in manifest.rows)
    write_manifest(replace(manifest, rows=rows))
    out = tmp_path / "out"
    arguments = ["predict", str(run), str(manifest.path.parent), "--out", str(out), "--device", "cpu"]
    result = CliRunner().invoke(main, [*arguments, "--split", "train", "--probabilities"])
    assert result.exit_code == 0, result.output
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))
    names = [f"town/{name}" for name in ("a00", "a01", "a02")]
    assert written == [f"label_maps/{name}.png" for name in names] + [f"probabilities/{name}.npy" for name in names]
    every = CliRunner().invoke(main, [*arguments[:2], str(manifest.path), *arguments[3:]])
    assert "Segmented 4 images" in every.stdout
    nothing = CliRunner().invoke(main, [*arguments, "--split", "test"])
    assert nothing.exit_code == 1 and "split 'test' has no rows" in nothing.stderr
    folder = CliRunner().invoke(
        main, ["predict", str(run), str(tmp_path / "data/images"), *arguments[3:], "--split", "x"]
    )
    assert folder.exit_code == 2 and "--split is for the images of a manifest" in folder.stderr


def test_masks_of_a_dataset_are_no_images(run: Path, tmp_path: Path) -> None:
    """A folder of images and masks once had its masks segmented too, without a word."""
    (tmp_path / "data/manifest.csv").rename(tmp_path / "other.csv")
    said: list[str] = []
    found = find_images([tmp_path / "data"], tmp_path / "out", said.append)
    assert list(map(str, found)) == [f"images/a{number:02d}" for number in range(4)]
    assert "skipped its 7 masks" in said[0]  # three of them annotations
    masks = find_images([tmp_path / "data/masks"], tmp_path / "out", said.append)
    assert len(masks) == 4
    (tmp_path / "other.csv").rename(tmp_path / "data/manifest.csv")
    with pytest.raises(TrainingError, match="is a manifest. Give it alone"):
        find_images([tmp_path / "data", tmp_path / "data/images/a00.png"], tmp_path / "out")
