"""Files that are damaged, endless, huge or no images."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from data_manifests import DataError
from data_manifests.files.decode import check_is_whole
from data_manifests.files.images import exif_orientation, read_image, read_image_size
from data_manifests.files.masks import read_mask
from data_manifests.files.volumes import is_volume, read_volume
from data_manifests.layouts.volumes import find_volumes
from sparsekit.volumes import digest_of
from tests.helpers.miniature_datasets import save_image, save_mask
from tests.helpers.png import grey_png


class TestDamagedImages:
    @pytest.mark.parametrize("read", [read_image, read_mask])
    @pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
    def test_truncation_is_a_data_error_or_costs_no_pixel(self, tmp_path, read, suffix):
        path = tmp_path / f"whole{suffix}"
        grey = np.random.default_rng(0).integers(0, 255, (16, 16), np.uint8)
        Image.fromarray(grey if read is read_mask else np.repeat(grey[:, :, None], 3, axis=2)).save(path)
        whole = path.read_bytes()
        cut = tmp_path / f"cut{suffix}"
        num_errors = 0
        for length in range(0, len(whole), max(1, len(whole) // 25)):
            cut.write_bytes(whole[:length])
            try:
                np.testing.assert_array_equal(read(cut), read(path))
            except DataError as error:
                assert "cut" in str(error)
                num_errors += 1
        assert num_errors > 20

    def test_flipped_bytes_never_give_another_error(self, tmp_path):
        whole = save_mask(tmp_path / "m.png", np.arange(64).reshape(8, 8), palette=True).read_bytes()
        rng = np.random.default_rng(0)
        for position in rng.integers(8, len(whole), 200):
            damaged = bytearray(whole)
            damaged[position] ^= int(rng.integers(1, 256))
            (tmp_path / "d.png").write_bytes(damaged)
            try:
                read_mask(tmp_path / "d.png")
            except DataError as error:
                assert "d.png" in str(error)

    @pytest.mark.parametrize("num_pages", [1, 2])
    def test_pages_that_name_an_earlier_one_as_the_next_end(self, tmp_path, num_pages):
        """tifffile iterates over such pages for ever."""
        pages = np.arange(64 * num_pages, dtype=np.uint8).reshape(num_pages, 8, 8)
        tifffile.imwrite(tmp_path / "whole.tif", pages, photometric="minisblack", metadata=None)
        with tifffile.TiffFile(tmp_path / "whole.tif") as tiff:
            first, last = tiff.pages[0].offset, tiff.pages[num_pages - 1].offset
        data = bytearray((tmp_path / "whole.tif").read_bytes())
        end = last + 2 + 12 * int.from_bytes(data[last : last + 2], "little")
        data[end : end + 4] = first.to_bytes(4, "little")
        (loop := tmp_path / "loop.tif").write_bytes(data)
        assert is_volume(loop) == (num_pages > 1)
        if num_pages == 1:
            np.testing.assert_array_equal(read_mask(loop), pages[0])
        else:
            np.testing.assert_array_equal(read_volume(loop).slices, pages)

    def test_messages(self, tmp_path):
        with pytest.raises(DataError, match=r"none.png: no such file\."):
            read_image(tmp_path / "none.png")
        with pytest.raises(DataError, match=r"none.png: no such file\."):
            read_image_size(tmp_path / "none.png")
        (tmp_path / "text.png").write_text("hello")
        with pytest.raises(DataError, match=r"text.png: is not an image of a format"):
            read_image_size(tmp_path / "text.png")
        (tmp_path / "empty.png").touch()
        with pytest.raises(DataError, match=r"empty.png: is an empty file"):
            read_image(tmp_path / "empty.png")
        (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
        with pytest.raises(DataError, match=r"cut.png: the image is damaged"):
            read_image(tmp_path / "cut.png")
        with pytest.raises(DataError, match=r"cannot be opened"):
            read_mask(tmp_path)

    @pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", "a.gif", "a.bmp"])
    def test_files_that_end_early(self, tmp_path, name):
        whole, cut = tmp_path / name, tmp_path / f"cut-{name}"
        noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(noise).save(whole)
        check_is_whole(whole)
        data = whole.read_bytes()
        for share in (0.5, 0.9, 0.99):
            cut.write_bytes(data[: int(len(data) * share)])
            with pytest.raises(DataError, match=rf"cut-{name}: the image is damaged or incomplete"):
                check_is_whole(cut)
            with pytest.raises(DataError):  # the same rule as for reading
                read_image(cut)
        cut.write_bytes(data + b"trailing words")  # phones add such
        check_is_whole(cut)
        read_image(cut)

    def test_links_in_a_circle_and_names_too_long(self, tmp_path):
        (tmp_path / "a.png").symlink_to("a.png")
        for path in (tmp_path / "a.png", tmp_path / ("x" * 300)):
            with pytest.raises(DataError, match=r"cannot be opened \("):
                read_mask(path)

    @pytest.mark.parametrize("read", [read_image, read_mask, read_image_size, exif_orientation])
    def test_pipes_and_devices_are_not_read(self, tmp_path, read):
        os.mkfifo(tmp_path / "pipe.png")
        (tmp_path / "endless.png").symlink_to("/dev/zero")
        for name in ("pipe.png", "endless.png"):
            with pytest.raises(DataError, match=rf"{name}: cannot be opened \(it is a pipe or a device\)"):
                read(tmp_path / name)

    @pytest.mark.parametrize("suffix", [".tif", ".nii", ".nii.gz"])
    def test_pipes_and_devices_are_no_volumes(self, tmp_path, suffix):
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir()
            os.mkfifo(tmp_path / kind / f"pipe{suffix}")
            (tmp_path / kind / f"endless{suffix}").symlink_to("/dev/zero")
        for path in (tmp_path / "images").iterdir():
            assert is_volume(path) == (suffix != ".tif")
            with pytest.raises(DataError, match=r"cannot be opened \(it is a pipe or a device\)"):
                read_volume(path)
        if items := find_volumes(tmp_path):
            with pytest.raises(DataError, match=r"cannot be opened \(it is a pipe or a device\)"):
                digest_of(items, "axial")

    def test_a_large_image_gives_no_warning(self, tmp_path, monkeypatch):
        path = save_image(tmp_path / "big.png", (10, 10))
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)  # below 100 pixels, above half of them
        assert read_image(path).shape == (10, 10, 3)
        assert read_image_size(path) == (10, 10)

    @pytest.mark.parametrize("read", [read_image, read_mask, read_image_size])
    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    def test_the_limit_of_pixels_can_be_set(self, tmp_path, monkeypatch, suffix, read):
        path = save_image(tmp_path / f"big{suffix}", (10, 12))
        monkeypatch.setenv("SPARSEKIT_MAX_PIXELS", "119")
        with pytest.raises(DataError, match=r"12x10 pixels.*119.*SPARSEKIT_MAX_PIXELS=120"):
            read(path)
        Image.fromarray(np.zeros((10, 12), np.uint8)).save(path)
        monkeypatch.setenv("SPARSEKIT_MAX_PIXELS", "120")
        read(path)
        monkeypatch.setenv("SPARSEKIT_MAX_PIXELS", "many")
        with pytest.raises(DataError, match="SPARSEKIT_MAX_PIXELS=many: expected a number"):
            read(path)

    @pytest.mark.parametrize("read", [read_image, read_mask, read_image_size])
    def test_a_bomb_is_refused_by_its_header(self, tmp_path, monkeypatch, read):
        (tmp_path / "bomb.png").write_bytes(grey_png(8, b"", 12000, 12000))  # no pixel of it is there
        with pytest.raises(DataError, match="12000x12000 pixels.*134,217,728"):
            read(tmp_path / "bomb.png")
        (tmp_path / "scene.png").write_bytes(grey_png(8, b"", 10980, 10980))  # a tile of Sentinel-2
        assert read_image_size(tmp_path / "scene.png") == (10980, 10980)
        (tmp_path / "huge.png").write_bytes(grey_png(8, b"", 20000, 20000))
        with pytest.raises(DataError, match="400,000,000 pixels.*set SPARSEKIT_MAX_PIXELS=400000000"):
            read(tmp_path / "huge.png")
        monkeypatch.setenv("SPARSEKIT_MAX_PIXELS", "900000000")  # more than Pillow would read
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
        assert read_image_size(tmp_path / "huge.png") == (20000, 20000)
