"""Images and masks in every encoding that is met, whole and broken."""

from __future__ import annotations

import errno
import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from data_manifests import DataError, known_label_space
from data_manifests.files.images import (
    atomic_path,
    encode_image,
    encode_label_map,
    has_exif_rotation,
    list_images,
    pixel_sha256,
    read_image,
    read_image_size,
    read_mask,
    write_atomically,
)
from data_manifests.label_space import numbered_label_space
from tests.helpers.miniature_datasets import save_image, save_mask


def grey_png(bits, row, width):
    """A PNG of one row of grey pixels with 1, 2 or 4 bits each, which Pillow cannot write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, 1, bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


IDS = np.array([[0, 1, 2], [11, 20, 255]], np.uint8)


class TestReadMask:
    @pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".webp"])
    def test_grey(self, tmp_path, suffix):
        path = tmp_path / f"m{suffix}"
        Image.fromarray(IDS).save(path, **({"lossless": True} if suffix == ".webp" else {}))
        assert read_mask(path).dtype == np.uint8
        np.testing.assert_array_equal(read_mask(path), IDS)

    def test_palette_gives_indices_not_colours(self, tmp_path):
        path = save_mask(tmp_path / "m.png", IDS, palette=True)
        with Image.open(path) as image:
            assert image.mode == "P"
        np.testing.assert_array_equal(read_mask(path), IDS)

    @pytest.mark.parametrize(
        ("bits", "row", "expected"),
        [
            (1, bytes([0b01100000]), [0, 1, 1, 0]),
            (2, bytes([0b00011011]), [0, 1, 2, 3]),
            (4, bytes([0x01, 0x4F]), [0, 1, 4, 15]),
        ],
    )
    def test_small_grey_values_are_not_stretched(self, tmp_path, bits, row, expected):
        path = tmp_path / "m.png"
        path.write_bytes(grey_png(bits, row, 4))
        assert read_mask(path).tolist() == [expected]

    @pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i4"])
    def test_sixteen_bits(self, tmp_path, dtype):
        values = np.array([[0, 255, 256], [300, 1000, 65535]])
        path = tmp_path / "m.tif"
        Image.fromarray(values.astype(dtype)).save(path)
        got = read_mask(path)
        assert got.dtype == np.dtype("uint16")
        np.testing.assert_array_equal(got, values)

    def test_sixteen_bit_png(self, tmp_path):
        got = read_mask(save_mask(tmp_path / "m.png", [[0, 26001]]))
        assert got.dtype == np.uint16 and got.tolist() == [[0, 26001]]

    def test_values_beyond_sixteen_bits(self, tmp_path):
        Image.fromarray(np.array([[0, 70000]], np.int32)).save(tmp_path / "m.tif")
        with pytest.raises(DataError, match=r"m.tif: mask values must lie between 0 and 65535, got 0..70000"):
            read_mask(tmp_path / "m.tif")

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "F", "CMYK"])
    def test_colours_are_refused(self, tmp_path, mode):
        path = tmp_path / "m.tif"
        Image.new("RGB", (5, 4), (128, 64, 128)).convert("L" if mode == "F" else mode).convert(mode).save(path)
        with pytest.raises(DataError, match=rf"m.tif: expected a one-channel mask .* {mode} image of 5x4"):
            read_mask(path)

    def test_equal_channels_are_read_as_one(self, tmp_path):
        Image.fromarray(np.repeat(IDS[:, :, None], 3, axis=2)).save(tmp_path / "m.png")
        np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), IDS)

    def test_jpeg_is_refused(self, tmp_path):
        Image.fromarray(IDS).save(tmp_path / "m.jpg")
        with pytest.raises(DataError, match=r"m.jpg: JPEG changes pixel values.*Export the mask as PNG"):
            read_mask(tmp_path / "m.jpg")


class TestBrokenFiles:
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

    def test_messages(self, tmp_path):
        with pytest.raises(DataError, match=r"none.png: no such file\."):
            read_image(tmp_path / "none.png")
        with pytest.raises(DataError, match=r"none.png: no such file\."):
            read_image_size(tmp_path / "none.png")
        (tmp_path / "text.png").write_text("hello")
        with pytest.raises(DataError, match=r"text.png: .*not an image that can be read"):
            read_image_size(tmp_path / "text.png")
        with pytest.raises(DataError, match=r"cannot be opened"):
            read_mask(tmp_path)

    def test_links_in_a_circle_and_names_too_long(self, tmp_path):
        (tmp_path / "a.png").symlink_to("a.png")
        for path in (tmp_path / "a.png", tmp_path / ("x" * 300)):
            with pytest.raises(DataError, match=r"cannot be opened \("):
                read_mask(path)

    @pytest.mark.parametrize("read", [read_image, read_mask, read_image_size, has_exif_rotation])
    def test_pipes_and_devices_are_not_read(self, tmp_path, read):
        os.mkfifo(tmp_path / "pipe.png")
        (tmp_path / "endless.png").symlink_to("/dev/zero")
        for name in ("pipe.png", "endless.png"):
            with pytest.raises(DataError, match=rf"{name}: cannot be opened \(it is a pipe or a device\)"):
                read(tmp_path / name)

    def test_a_large_image_gives_no_warning(self, tmp_path, monkeypatch):
        path = save_image(tmp_path / "big.png", (10, 10))
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)  # below 100 pixels, above half of them
        assert read_image(path).shape == (10, 10, 3)
        assert read_image_size(path) == (10, 10)

    def test_a_image_too_large_to_be_trusted(self, tmp_path, monkeypatch):
        path = save_image(tmp_path / "big.png", (10, 10))
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
        with pytest.raises(DataError, match=r"larger than the 40 pixels that are read. Cut it into tiles"):
            read_image(path)


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

    def test_sixteen_bit_grey_keeps_its_upper_bits(self, tmp_path):
        path = save_mask(tmp_path / "i.png", [[0, 256, 65535]])
        assert read_image(path).tolist() == [[[0] * 3, [1] * 3, [255] * 3]]

    def test_grey_beyond_sixteen_bits_is_black_or_white(self, tmp_path):
        path = tmp_path / "i.tif"
        Image.fromarray(np.array([[-1, 512, 70000]], np.int32)).save(path)
        assert read_image(path).tolist() == [[[0] * 3, [2] * 3, [255] * 3]]

    def test_floats_are_refused(self, tmp_path):
        Image.new("F", (2, 2)).save(tmp_path / "f.tif")
        with pytest.raises(DataError, match=r"one of floats. Scale it to 0..255 first"):
            read_image(tmp_path / "f.tif")

    def test_exif_rotation_is_ignored_so_that_image_and_mask_agree(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6  # shown turned by 90 degrees
        path = tmp_path / "turned.jpg"
        Image.new("RGB", (6, 4)).save(path, exif=exif)
        assert read_image(path).shape == (4, 6, 3) and read_image_size(path) == (4, 6)
        assert has_exif_rotation(path)
        assert not has_exif_rotation(save_image(tmp_path / "upright.jpg"))
        with pytest.raises(DataError, match="no such file"):
            has_exif_rotation(tmp_path / "none.jpg")

    def test_size_without_decoding(self, tmp_path):
        path = save_image(tmp_path / "p.png", (30, 40))
        path.write_bytes(path.read_bytes()[:60])  # the header is enough
        assert read_image_size(path) == (30, 40)


class TestEncode:
    def test_label_map_is_a_palette_png_in_class_colours(self):
        space = known_label_space("pascal_voc")
        image = Image.open(io.BytesIO(encode_label_map(IDS, space)))
        assert image.mode == "P" and image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image)[IDS <= 20], IDS[IDS <= 20])
        rgb = np.asarray(image.convert("RGB"))
        assert rgb[0, 2].tolist() == space.palette[2].tolist() and rgb[1, 2].tolist() == [255, 255, 255]

    @pytest.mark.parametrize("num_classes", [1, 2, 21, 255, 256, 300])
    def test_round_trip(self, tmp_path, num_classes):
        space = numbered_label_space(range(num_classes)) if num_classes != 256 else numbered_label_space(range(257))
        values = np.array([[0, space.num_classes - 1, space.unlabelled_value]], space.dtype)
        write_atomically(tmp_path / "m.png", encode_label_map(values, space))
        got = read_mask(tmp_path / "m.png")
        assert got.dtype == space.dtype
        np.testing.assert_array_equal(got, values)
        assert pixel_sha256(got) == pixel_sha256(values)

    def test_rows_of_a_view_are_written_in_order(self, tmp_path):
        turned = IDS.T[::-1]
        write_atomically(tmp_path / "m.png", encode_label_map(turned, known_label_space("pascal_voc")))
        np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), turned)

    @pytest.mark.parametrize(("kind", "start"), [("PNG", b"\x89PNG"), ("JPEG", b"\xff\xd8"), ("PDF", b"%PDF")])
    def test_image(self, kind, start):
        data = encode_image(np.zeros((3, 5, 3), np.uint8), kind)
        assert data.startswith(start)
        if kind != "PDF":
            assert Image.open(io.BytesIO(data)).size == (5, 3)


class TestHash:
    def test_depends_on_pixels_shape_and_type_only(self, tmp_path):
        hashes = {
            pixel_sha256(array)
            for array in (IDS, IDS.T, IDS.reshape(1, 6), IDS.reshape(6, 1), IDS.astype(np.uint16), IDS ^ np.uint8(1))
        }
        assert len(hashes) == 6
        swapped = IDS.astype(np.uint16)
        assert pixel_sha256(swapped.astype(">u2")) == pixel_sha256(swapped)
        assert pixel_sha256(np.asfortranarray(IDS)) == pixel_sha256(IDS)
        for name, options in {"a.png": {"compress_level": 0}, "b.png": {"compress_level": 9}, "c.tif": {}}.items():
            Image.fromarray(IDS).save(tmp_path / name, **options)
            assert pixel_sha256(read_mask(tmp_path / name)) == pixel_sha256(IDS)


class TestWriting:
    def test_makes_folders_and_replaces(self, tmp_path):
        path = tmp_path / "a" / "b" / "f.txt"
        write_atomically(path, b"1")
        write_atomically(path, b"22")
        assert path.read_bytes() == b"22" and [p.name for p in path.parent.iterdir()] == ["f.txt"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_a_failure_leaves_nothing_and_keeps_the_old(self, tmp_path, error):
        path = tmp_path / "f.txt"
        path.write_bytes(b"old")
        with pytest.raises(error), atomic_path(path) as partial:
            partial.write_bytes(b"new, but only ha")
            raise error
        assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["f.txt"]

    def test_a_full_disk_says_where(self, tmp_path):
        with pytest.raises(OSError, match="No space left") as caught, atomic_path(tmp_path / "a.csv"):
            raise OSError(errno.ENOSPC, "No space left on device")  # as writing to a file does: without a name
        assert caught.value.filename == str(tmp_path / "a.csv")

    @pytest.mark.parametrize("name", ["x" * 251 + ".png", "\N{CJK UNIFIED IDEOGRAPH-732B}" * 83 + ".png"])
    def test_names_as_long_as_the_system_allows(self, tmp_path, name):
        write_atomically(tmp_path / name, b"1")
        assert (tmp_path / name).read_bytes() == b"1"

    def test_a_folder_in_the_way_is_named(self, tmp_path):
        (tmp_path / "a.csv").mkdir()
        with pytest.raises(IsADirectoryError) as caught:
            write_atomically(tmp_path / "a.csv", b"1")
        assert caught.value.filename == str(tmp_path / "a.csv") and not list(tmp_path.glob(".*"))

    def test_a_file_where_a_folder_should_be(self, tmp_path):
        (tmp_path / "a").write_text("")
        with pytest.raises(OSError, match="a"):
            write_atomically(tmp_path / "a" / "f.txt", b"1")


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
