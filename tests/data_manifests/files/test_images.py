"""Images of every mode, as viewers show them."""

from __future__ import annotations

import errno
import io
import os

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from data_manifests import DataError
from data_manifests.files.images import encode_image, exif_orientation, list_images, read_image, read_image_size
from data_manifests.files.masks import read_mask
from tests.helpers.miniature_datasets import save_image, save_mask


def transposed(pixels, orientation):
    """Pixels as Pillow turns them for an EXIF orientation."""
    how = Image.Transpose
    methods = (None, how.FLIP_LEFT_RIGHT, how.ROTATE_180, how.FLIP_TOP_BOTTOM)
    methods += (how.TRANSPOSE, how.ROTATE_270, how.TRANSVERSE, how.ROTATE_90)
    method = methods[orientation - 1]
    return pixels if method is None else np.asarray(Image.fromarray(pixels).transpose(method))


class TestReadImage:
    def test_modes_become_rgb(self, tmp_path):
        rgb = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
        for mode in ("RGB", "RGBA", "L", "P", "LA", "1"):
            path = tmp_path / f"{mode}.png"
            Image.fromarray(rgb).convert(mode).save(path)
            got = read_image(path)
            assert got.shape == (2, 4, 3) and got.dtype == np.uint8
            with Image.open(path) as image:
                np.testing.assert_array_equal(got, np.asarray(image.convert("RGB")))

    def test_palette_with_transparency_does_not_warn(self, tmp_path):
        image = Image.fromarray(np.array([[0, 1]], np.uint8))
        image.putpalette([9, 8, 7, 1, 2, 3])
        image.save(tmp_path / "p.png", transparency=b"\x00\xff")
        assert read_image(tmp_path / "p.png").tolist() == [[[9, 8, 7], [1, 2, 3]]]

    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    @pytest.mark.parametrize("bands", [1, 3])
    def test_twelve_bits_in_sixteen_are_not_black(self, tmp_path, suffix, bands):
        values = np.random.default_rng(0).integers(0, 4096, (6, 8, bands)).astype(np.uint16)
        values[0, 0] = 4095
        path = tmp_path / f"i{suffix}"
        if suffix == ".png":
            cv2.imwrite(str(path), values[:, :, ::-1])
        else:
            tifffile.imwrite(path, values[:, :, 0] if bands == 1 else values, photometric="rgb" if bands == 3 else None)
        np.testing.assert_array_equal(read_image(path), np.repeat(values // 16, 4 - bands, axis=2)[:, :, :3])
        expected = np.repeat(np.rint(values.astype(float) / 9001 * 255), 4 - bands, axis=2)[:, :, :3]
        np.testing.assert_array_equal(read_image(path, value_range=(0, 9001)), expected)

    def test_bands_of_an_image(self, tmp_path):
        values = np.random.default_rng(0).integers(0, 256, (6, 8, 5)).astype(np.uint8)
        tifffile.imwrite(tmp_path / "five.tif", values, photometric="minisblack", planarconfig="contig")
        with pytest.raises(DataError, match="has 5 bands"):
            read_image(tmp_path / "five.tif")
        np.testing.assert_array_equal(read_image(tmp_path / "five.tif", bands=(4, 1, 5)), values[:, :, [3, 0, 4]])
        np.testing.assert_array_equal(read_image(tmp_path / "five.tif", bands=(2,)), values[:, :, [1, 1, 1]])
        with pytest.raises(DataError, match="has 5 bands, so there is no band 6"):
            read_image(tmp_path / "five.tif", bands=(6,))
        np.testing.assert_array_equal(read_image(tmp_path / "five.tif", bands=(2, 1)), values[:, :, [1, 0]])
        with pytest.raises(ValueError, match="bands must be numbers from 1 on"):
            read_image(tmp_path / "five.tif", bands=(0, 1))
        tifffile.imwrite(tmp_path / "infrared.tif", values[:, :, :4], photometric="rgb", extrasamples=["unspecified"])
        np.testing.assert_array_equal(read_image(tmp_path / "infrared.tif"), values[:, :, :3])
        planar = np.moveaxis(values, 2, 0)
        tifffile.imwrite(tmp_path / "planar.tif", planar, photometric="minisblack", planarconfig="separate")
        np.testing.assert_array_equal(read_image(tmp_path / "planar.tif", bands=(4, 1, 5)), values[:, :, [3, 0, 4]])

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_white_is_zero(self, tmp_path, dtype):
        values = np.array([[0, 7], [100, 200]], np.uint8)
        scale = 256 if dtype == np.uint16 else 1
        tifffile.imwrite(tmp_path / "i.tif", values.astype(dtype) * scale, photometric="miniswhite")
        assert read_image(tmp_path / "i.tif")[:, :, 0].tolist() == [[255, 248], [155, 55]]

    def test_palette_tiff(self, tmp_path):
        image = Image.fromarray(np.array([[0, 1]], np.uint8))
        image.putpalette([9, 8, 7, 1, 2, 3])
        image.save(tmp_path / "p.tif")
        assert read_image(tmp_path / "p.tif").tolist() == [[[9, 8, 7], [1, 2, 3]]]

    def test_sixteen_bit_grey_keeps_its_upper_bits(self, tmp_path):
        path = save_mask(tmp_path / "i.png", [[0, 256, 65535]])
        assert read_image(path).tolist() == [[[0] * 3, [1] * 3, [255] * 3]]

    def test_grey_beyond_sixteen_bits_is_black_or_white(self, tmp_path):
        path = tmp_path / "i.tif"
        Image.fromarray(np.array([[0, 512, 70000]], np.int32)).save(path)
        assert read_image(path).tolist() == [[[0] * 3, [2] * 3, [255] * 3]]

    def test_negative_values_need_a_range(self, tmp_path):
        path = tmp_path / "i.tif"
        Image.fromarray(np.array([[-1000, 0, 1000]], np.int32)).save(path)
        with pytest.raises(DataError, match="below 0, down to -1000.*--value-range"):
            read_image(path)
        assert read_image(path, value_range=(-1000, 1000))[0, :, 0].tolist() == [0, 128, 255]

    def test_floats_are_refused(self, tmp_path):
        Image.new("F", (2, 2)).save(tmp_path / "f.tif")
        with pytest.raises(DataError, match="--value-range"):
            read_image(tmp_path / "f.tif")

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
    def test_an_image_is_read_as_it_is_shown(self, tmp_path, orientation, suffix):
        pixels = np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8)
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"turned{suffix}"
        Image.fromarray(pixels).save(path, exif=exif, **({"lossless": True} if suffix == ".webp" else {}))
        stored = np.asarray(Image.open(path).convert("RGB")) if suffix == ".jpg" else pixels
        shown = transposed(stored, orientation)
        np.testing.assert_array_equal(read_image(path), shown)
        assert read_image_size(path) == shown.shape[:2] and exif_orientation(path) == orientation
        if suffix != ".jpg":
            grey = Image.fromarray(pixels[:, :, 0])
            grey.save(path, exif=exif, **({"lossless": True} if suffix == ".webp" else {}))
            np.testing.assert_array_equal(read_mask(path), transposed(pixels[:, :, 0], orientation))

    def test_size_without_decoding(self, tmp_path):
        path = save_image(tmp_path / "p.png", (30, 40))
        path.write_bytes(path.read_bytes()[:60])  # the header is enough
        assert read_image_size(path) == (30, 40)


class TestEncodeImage:
    @pytest.mark.parametrize(("kind", "start"), [("PNG", b"\x89PNG"), ("JPEG", b"\xff\xd8"), ("PDF", b"%PDF")])
    def test_is_an_image_of_the_format(self, kind, start):
        data = encode_image(np.zeros((3, 5, 3), np.uint8), kind)
        assert data.startswith(start)
        if kind != "PDF":
            assert Image.open(io.BytesIO(data)).size == (5, 3)


class TestListImages:
    def test_a_folder_that_cannot_be_read_is_no_empty_one(self, tmp_path, monkeypatch):
        (tmp_path / "town").mkdir()
        scandir = os.scandir

        def forbid_town(path):
            if os.fspath(path) == str(tmp_path / "town"):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", forbid_town)
        with pytest.raises(PermissionError) as caught:
            list_images(tmp_path)
        assert caught.value.filename == str(tmp_path / "town")
        assert list_images(tmp_path / "missing") == []

    def test_any_depth_and_case_without_hidden_ones(self, tmp_path):
        for name in ("b.PNG", "x/a.jpeg", "x/y/c.tiff", ".hidden.png", ".ipynb_checkpoints/b.png", "x/._a.jpg"):
            save_mask((tmp_path / name).with_suffix(".png"), [[0]]).rename(tmp_path / name)
        (tmp_path / "notes.txt").write_text("")
        (tmp_path / "folder.png").mkdir()
        found = [p.relative_to(tmp_path).as_posix() for p in list_images(tmp_path)]
        assert found == ["b.PNG", "x/a.jpeg", "x/y/c.tiff"]

    def test_links_are_followed_once(self, tmp_path):
        save_image(tmp_path / "real" / "a.png")
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / "train").symlink_to(tmp_path / "real")
        (tmp_path / "real" / "loop").symlink_to(tmp_path / "set")
        assert [p.relative_to(tmp_path).as_posix() for p in list_images(tmp_path / "set")] == ["set/train/a.png"]
