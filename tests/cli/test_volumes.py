"""The whole way on volumes: NIfTI in a turned order of axes, TIFF with several pages, nnU-Net's folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image

from agmm.inference.predict import _Slices
from cli.agmm_cli import main as agmm_main
from cli.sparsekit_cli import main as sparsekit_main
from data_manifests import DataError, read_manifest, read_marks, read_row_full_mask
from data_manifests.files.masks import read_mask
from data_manifests.files.volumes import read_volume

nibabel = pytest.importorskip("nibabel", reason="needs nibabel, extra medical")

#: Stored axes run to posterior, superior and left, with voxels of 2, 5 and 1 mm, a little oblique.
AFFINE = np.array([[0.02, 0.0, -1.0, 40.0], [-2.0, 0.05, 0.0, 30.0], [0.0, 5.0, 0.02, -60.0], [0, 0, 0, 1]])
SHAPE = (36, 4, 40)  # rows of an axial slice, slices, columns
SMALL = (
    "--encoder", "mobilenetv3_small_050.lamb_in1k", "--encoder-weights", "none", "--crop-size", "32x32",
    "--workers", 0, "--device", "cpu",
)  # fmt: skip


def run(main, *arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def save(path: Path | str, values: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


def made(seed: int, shape: tuple[int, int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """Values as in CT, and the mask of what is dense in it."""
    values = np.random.default_rng(seed).integers(-1000, 1500, shape).astype(np.int16)
    return values, (values > 500).astype(np.uint8)


def world(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Millimetres to the right, to the front and up of each voxel, shape (3, *shape), by the affine alone."""
    indices = np.indices(shape).reshape(3, -1)
    return (AFFINE[:3, :3] @ indices + AFFINE[:3, 3:]).reshape(3, *shape)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def scans(here):
    """Three volumes in nnU-Net's folders."""
    volumes = {}
    for seed, name in enumerate(("liver_01", "liver_02", "liver_03")):
        volumes[name] = made(seed)
        save(f"scans/imagesTr/{name}_0000.nii.gz", volumes[name][0])
        save(f"scans/labelsTr/{name}.nii.gz", volumes[name][1])
    Path("scans/dataset.json").write_text(json.dumps({"labels": {"background": 0, "bone": 1}}))
    return volumes


def stored_slices(name: str, kind: str = "images") -> np.ndarray:
    """What was written of a volume, read by other readers, shape (slices, H, W)."""
    files = sorted(Path(f"sparse/scans-slices/{kind}/{name}").iterdir())
    return np.stack([tifffile.imread(f) if kind == "images" else np.asarray(Image.open(f)) for f in files])


@pytest.mark.parametrize(
    ("axis", "directions"),
    [  # of slices, rows and columns: millimetres along x to the right, y to the front, z up
        ("axial", ((2, 1), (1, -1), (0, -1))),
        ("coronal", ((1, -1), (2, -1), (0, -1))),
        ("sagittal", ((0, -1), (2, -1), (1, -1))),
    ],
)
def test_slices_by_the_affine(here, axis, directions):
    """Each coordinate, sliced like an image, runs where the plane says, whatever the stored order."""
    for number, coordinate in enumerate(world()):
        save(f"xyz/images/{number}.nii.gz", coordinate.astype(np.float32))
        save(f"xyz/masks/{number}.nii.gz", np.zeros(SHAPE, np.uint8))
    run(sparsekit_main, "points", "--clicks", 1, "--axis", axis, "xyz")
    slices = [
        np.stack([tifffile.imread(f) for f in sorted(Path(f"sparse/xyz-slices/images/{number}").iterdir())])
        for number in range(3)
    ]
    for dimension, (coordinate, sign) in enumerate(directions):
        assert (sign * np.diff(slices[coordinate], axis=dimension) > 0.5).all()
    assert read_manifest("sparse/xyz-1clicks").info.images.axis == axis


def test_the_whole_way(scans):
    said = run(sparsekit_main, "points", "--clicks", 8, "--value-range=-1000,1500", "scans")
    assert "wrote axial slices of 3 volumes: 12 slices, of which 0 have" in said
    manifest = read_manifest("sparse/scans-8clicks")
    assert [row.image_id for row in manifest.rows][:5] == [
        *(f"liver_01/slice_{number:03d}" for number in range(4)),
        "liver_02/slice_000",
    ]
    assert manifest.label_space.class_names == ("background", "bone")
    for name, (values, mask) in scans.items():
        turned = (1, 0, 2)  # slices, rows, columns: stored axes run to posterior, superior, left
        np.testing.assert_array_equal(stored_slices(name), values.transpose(turned))
        np.testing.assert_array_equal(stored_slices(name, "masks"), mask.transpose(turned))
    for row in manifest.rows:
        name, _, number = row.image_id.partition("/slice_")
        np.testing.assert_array_equal(read_row_full_mask(manifest, row), scans[name][1][:, int(number)])
    run(sparsekit_main, "validate", manifest.path)
    run(sparsekit_main, "render", manifest.path, "--limit", 1)
    split = ("--val", "0.3", "--by", "group", "--group-pattern", "[^/]+", "--out", "split")
    run(sparsekit_main, "split", manifest.path, *split)
    run(agmm_main, "train", "split", "--out", "run", "--epochs", 1, *SMALL)
    run(agmm_main, "evaluate", "run", "split", "--device", "cpu")
    source = "scans/imagesTr/liver_02_0000.nii.gz"
    said = run(agmm_main, "predict", "run", source, "--out", "predicted", "--device", "cpu", "--overlays")
    assert "1 image (1 volume of 4 slices among them)" in said
    found = nibabel.load("predicted/label_maps/liver_02_0000.nii.gz")
    assert found.shape == SHAPE and found.get_data_dtype() == np.uint8
    np.testing.assert_allclose(found.affine, AFFINE, atol=1e-5)
    # The same slices as images, segmented one by one.
    run(agmm_main, "predict", "run", "sparse/scans-slices/images/liver_02", "--out", "slices", "--device", "cpu")
    by_slice = [read_mask(f"slices/label_maps/slice_{number:03d}.png") for number in range(SHAPE[1])]
    np.testing.assert_array_equal(np.asarray(found.dataobj), np.stack(by_slice, axis=1))
    again = nibabel.load("slices/label_maps/liver_02.nii.gz")
    np.testing.assert_array_equal(np.asarray(again.dataobj), np.asarray(found.dataobj))
    np.testing.assert_allclose(again.affine, AFFINE, atol=1e-5)
    assert len(list(Path("predicted/overlays/liver_02_0000").glob("slice_*.jpg"))) == SHAPE[1]


def test_slices_are_written_once(scans):
    run(sparsekit_main, "points", "--clicks", 8, "scans")
    first = Path("sparse/scans-slices/volumes.json").stat().st_mtime_ns
    assert "value range" in run(sparsekit_main, "points", "--clicks", 9, "scans")
    assert Path("sparse/scans-slices/volumes.json").stat().st_mtime_ns == first
    save("scans/labelsTr/liver_01.nii.gz", 1 - scans["liver_01"][1])
    run(sparsekit_main, "points", "--clicks", 10, "scans")
    np.testing.assert_array_equal(stored_slices("liver_01", "masks"), 1 - scans["liver_01"][1].transpose(1, 0, 2))


def test_the_range_of_values_is_measured(scans):
    said = run(sparsekit_main, "points", "--clicks", 8, "scans")
    everything = np.concatenate([values.ravel() for values, _ in scans.values()]).astype(float)
    expected = np.percentile(everything, [0.5, 99.5])
    low, high = read_manifest("sparse/scans-8clicks").info.images.value_range
    np.testing.assert_allclose([low, high], expected, atol=1)
    assert f"value range {low:g},{high:g}" in said


def test_two_folders_and_masks_alone(here):
    values, mask = made(0)
    save("a/t1.nii", values)
    save("b/t1_seg.nii.gz", mask)
    run(sparsekit_main, "points", "--clicks", 3, "--images", "a", "--masks", "b")
    run(sparsekit_main, "points", "--clicks", 4, "--masks", "b", "--out", "alone")
    for folder in (f"sparse/{here.name}-3clicks", "alone/b-4clicks"):
        manifest = read_manifest(folder)
        for number, row in enumerate(manifest.rows):
            np.testing.assert_array_equal(read_row_full_mask(manifest, row), mask[:, number])


def test_channels_in_files_of_their_own(here):
    values, mask = made(0)
    for channel in range(4):
        save(f"mr/imagesTr/a_{channel:04d}.nii.gz", values + channel)
    save("mr/labelsTr/a.nii.gz", mask)
    run(sparsekit_main, "points", "--clicks", 3, "mr")
    slice_0 = tifffile.imread("sparse/mr-slices/images/a/slice_000.tif")
    np.testing.assert_array_equal(slice_0, np.stack([values[:, 0] + channel for channel in range(4)], axis=2))


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_pages_of_a_tiff(here, photometric):
    rng = np.random.default_rng(0)
    cells, masks = rng.integers(0, 256, (5, 32, 40)).astype(np.uint8), rng.integers(0, 2, (5, 32, 40)).astype(np.uint8)
    for folder, pages in (("images", cells), ("masks", masks)):
        Path("stacks", folder).mkdir(parents=True)
        kind = photometric if folder == "images" else "minisblack"
        tifffile.imwrite(f"stacks/{folder}/a.tif", pages, photometric=kind)
    run(sparsekit_main, "points", "--clicks", 4, "stacks")
    manifest = read_manifest("sparse/stacks-4clicks")
    assert [row.image_id for row in manifest.rows] == [f"a/slice_{number:03d}" for number in range(5)]
    for number, row in enumerate(manifest.rows):
        shown = manifest.info.images.read(manifest.resolve(row.image))[:, :, 0]
        np.testing.assert_array_equal(shown, cells[number] if photometric == "minisblack" else 255 - cells[number])
        np.testing.assert_array_equal(read_row_full_mask(manifest, row), masks[number])
    run(agmm_main, "train", manifest.path, "--out", "run", "--epochs", 1, *SMALL)
    run(agmm_main, "predict", "run", "stacks/images", "--out", "out", "--device", "cpu")
    assert tifffile.imread("out/label_maps/a.tif").shape == cells.shape


def test_nnunet_in_three_dimensions(scans):
    """Labels at the voxels of the clicks and nowhere else; images as they were."""
    scans["liver_09"] = made(9)
    save("scans/imagesTs/liver_09_0000.nii.gz", scans["liver_09"][0])
    save("scans/labelsTs/liver_09.nii.gz", scans["liver_09"][1])
    run(sparsekit_main, "points", "--clicks", 8, "scans")
    run(sparsekit_main, "export", "sparse/scans-8clicks", "--to", "nnunet", "--out", "out")
    (dataset,) = Path("out").glob("Dataset*")
    described = json.loads((dataset / "dataset.json").read_text())
    assert described["labels"] == {"background": 0, "bone": 1, "ignore": 2}
    assert described["file_ending"] == ".nii.gz" and described["numTraining"] == 3
    manifest = read_manifest("sparse/scans-8clicks")
    marks = dict(read_marks(manifest.marks_path))
    for name, (values, mask) in scans.items():
        split, part = ("test", "Ts") if name == "liver_09" else ("train", "Tr")
        labels = nibabel.load(dataset / f"labels{part}/{split}_{name}.nii.gz")
        image = nibabel.load(dataset / f"images{part}/{split}_{name}_0000.nii.gz")
        expected = mask
        if split == "train":
            expected = np.full(SHAPE, 2, np.uint8)
            for number in range(SHAPE[1]):  # stored axes run to posterior, superior, left: rows, slices, columns
                for mark in marks[f"train/{name}/slice_{number:03d}"]:
                    expected[mark.row, number, mark.col] = mask[mark.row, number, mark.col]
        np.testing.assert_array_equal(np.asarray(labels.dataobj), expected)
        np.testing.assert_array_equal(np.asarray(image.dataobj), values)
        for file in (labels, image):
            np.testing.assert_allclose(file.affine, AFFINE, atol=1e-5)


def test_nnunet_wants_volumes_whole(scans):
    run(sparsekit_main, "points", "--clicks", 8, "scans")
    run(sparsekit_main, "split", "sparse/scans-8clicks", "--val", "0.3", "--out", "mixed")
    assert "are in several splits" in run(sparsekit_main, "export", "mixed", "--to", "nnunet", "--out", "o", code=1)


def test_volumes_of_one_name_in_two_datasets_do_not_become_one(here):
    manifests = []
    for dataset in ("north", "south"):
        values, mask = made(len(dataset), (8, 3, 9))
        save(f"{dataset}/images/case.nii.gz", values)
        save(f"{dataset}/masks/case.nii.gz", mask)
        run(sparsekit_main, "points", "--clicks", 2, dataset)
        manifests.append(f"sparse/{dataset}-2clicks")
    run(sparsekit_main, "merge", *manifests, "--prefix", "--out", "both")
    told = run(sparsekit_main, "export", "both", "--to", "nnunet", "--out", "o", code=1)
    assert "volume 'case' is in" in told and not Path("o").exists()
    slices = _Slices(None)
    labels = np.zeros((8, 9), np.uint8)
    north, south = (Path(f"sparse/{name}-slices/images/case/slice_000.tif") for name in ("north", "south"))
    for path in (north, north.absolute(), north.with_stem("slice_001")):
        slices.add(path, labels)
    with pytest.raises(DataError, match="volume 'case' is in"):
        slices.add(south, labels)


def test_bands_that_were_written_as_pages(here):
    """What tifffile makes of an array of shape (H, W, bands) when it is not told otherwise."""
    tifffile.imwrite("a.tif", np.zeros((48, 64, 5), np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match="48 pages of 5x64 pixels, rather an image of 5 bands"):
        read_volume(Path("a.tif"))


def test_info_of_volumes(scans):
    result = CliRunner().invoke(sparsekit_main, ["info", "scans", "--json"])
    described = json.loads(result.stdout)
    shares = [np.mean([(mask == i).mean() for _, mask in scans.values()]) for i in (0, 1)]
    assert [c["share"] for c in described["classes"]] == pytest.approx(shares)
    assert not Path("sparse").exists()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda: save("scans/labelsTr/liver_01.nii.gz", np.zeros((36, 4, 39), np.uint8)), "36x4x39 voxels"),
        (lambda: save("scans/labelsTr/liver_01.nii.gz", made(0)[1], np.diag([1, 1, 1, 1])), "by the affines"),
        (lambda: save("scans/labelsTr/liver_01.nii.gz", made(0)[0]), "between 0 and 65535, got"),
        (lambda: save("scans/labelsTr/liver_01.nii.gz", made(0)[1] / np.float32(2)), "fractions such as 0.5"),
        (lambda: Path("scans/labelsTr/liver_01.nii.gz").write_bytes(b"no gzip"), "damaged or incomplete"),
        (lambda: Path("scans/labelsTr/liver_01.nii.gz").write_bytes(b""), "is an empty file"),
        (lambda: Path("scans/labelsTr/liver_01.nii.gz").unlink(), "do not pair up"),
        (lambda: Path("scans/dataset.json").write_text('{"labels": {"a": [1, 2]}}'), "lists of values"),
    ],
)
def test_volumes_that_cannot_be_used(scans, spoil, said):
    spoil()
    output = run(sparsekit_main, "points", "--clicks", 8, "scans", code=1)
    assert said in output, output
    assert not Path("sparse").exists() or not list(Path("sparse").iterdir())


def test_a_header_that_declares_too_much(scans, monkeypatch):
    monkeypatch.setenv("SPARSEKIT_MAX_PIXELS", "5000")
    output = run(sparsekit_main, "points", "--clicks", 8, "scans", code=1)
    assert "36x4x40 voxels; the limit is 5,000" in output


def test_a_plane_for_what_has_none(here):
    Path("stacks/masks").mkdir(parents=True)
    tifffile.imwrite("stacks/masks/a.tif", np.zeros((3, 32, 40), np.uint8), photometric="minisblack")
    output = run(sparsekit_main, "points", "--axis", "axial", "--masks", "stacks/masks", code=2)
    assert "--axis applies to NIfTI" in output


@pytest.mark.parametrize("kind", ["Nifti1Image", "Nifti2Image", "big", "scaled"])
def test_every_kind_of_nifti(here, kind):
    values, _ = made(0)
    values[values == 0] = 1
    image = nibabel.Nifti2Image(values, AFFINE) if kind == "Nifti2Image" else nibabel.Nifti1Image(values, AFFINE)
    if kind == "big":
        image = nibabel.Nifti1Image(values, AFFINE, nibabel.Nifti1Header(endianness=">"))
    if kind == "scaled":
        image.header.set_slope_inter(0.5, -3)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"scanner"))
    nibabel.save(image, "a.nii.gz")
    expected = nibabel.load("a.nii.gz").get_fdata()
    np.testing.assert_array_equal(read_volume(Path("a.nii.gz")).slices, expected.transpose(1, 0, 2))


@pytest.mark.parametrize("esize", [-1, 2**31 - 16])
def test_header_extensions_of_any_size_are_not_read(here, esize):
    """A reader that believes them reads all of the stream, which may unpack to far more than the file."""
    values, _ = made(0)
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), "a.nii")
    data = bytearray(Path("a.nii").read_bytes())
    data[348] = 1
    data[352:352] = esize.to_bytes(4, "little", signed=True) + bytes(12)
    data[108:112] = np.float32(368).tobytes()
    Path("a.nii").write_bytes(data)
    np.testing.assert_array_equal(read_volume(Path("a.nii")).slices, values.transpose(1, 0, 2))
    data[108:112] = np.float32(1e30).tobytes()
    Path("a.nii").write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        read_volume(Path("a.nii"))


def test_a_truncated_volume(scans):
    path = Path("scans/imagesTr/liver_01_0000.nii.gz")
    path.write_bytes(path.read_bytes()[:2000])
    assert "damaged or incomplete" in run(sparsekit_main, "points", "--clicks", 8, "scans", code=1)


@pytest.mark.parametrize("as_options", [False, True])
def test_volumes_beside_images_are_counted(here, as_options):
    values, mask = made(0)
    for name in ("a", "b"):
        for kind, pixels in (("images", values[:, 0] >> 4 & 255), ("masks", mask[:, 0])):
            Path(f"town/{kind}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(f"town/{kind}/{name}.png")
    where = ("--images", "town/images", "--masks", "town/masks") if as_options else ("town",)
    assert "not used" not in run(sparsekit_main, "info", *where)
    save("town/images/c.nii.gz", values)
    save("town/masks/c.nii.gz", mask)
    assert "2 files are not used" in run(sparsekit_main, "info", *where)
    assert "c.nii.gz" in run(sparsekit_main, "points", *where, "--clicks", 2, "--out", "sparse")


def test_images_beside_volumes_are_counted(here):
    values, mask = made(0)
    save("scans/images/c.nii.gz", values)
    save("scans/masks/c.nii.gz", mask)
    tifffile.imwrite("scans/masks/d.tif", mask, photometric="minisblack")
    Image.fromarray(mask[:, 0]).save("scans/images/a.png")
    output = run(sparsekit_main, "points", "scans", "--clicks", 2, "--out", "sparse")
    assert "scans: 2 files are not used" in output and "a.png" in output and "d.tif" in output


def test_further_files_of_a_known_layout_are_its_own(here):
    town = run(sparsekit_main, "demo-data", "town", "--images", 2, "--size", "48x32")
    assert "not used" not in town + run(sparsekit_main, "info", "town")
    mask = next(Path("town").rglob("*_labelIds.png"))
    save(mask.with_name("volume.nii"), made(0)[0])
    assert "1 file is not used" in run(sparsekit_main, "info", "town")


def test_one_folder_of_images_and_masks_needs_a_suffix(here):
    """Each volume would be its own mask."""
    for name in ("a", "a_seg"):
        save(f"scans/{name}.nii.gz", made(1)[1])
    folders = ("--images", "scans", "--masks", "scans")
    assert "--mask-suffix" in run(sparsekit_main, "points", *folders, "--clicks", 3, code=1)
    assert "4 images annotated" in run(sparsekit_main, "points", *folders, "--mask-suffix", "_seg", "--clicks", 3)
