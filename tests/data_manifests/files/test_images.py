"""Images and masks in every encoding that is met, whole and broken."""

from __future__ import annotations

import errno
import io
import itertools
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from data_manifests import DataError, known_label_space
from data_manifests.files.decode import check_is_whole
from data_manifests.files.images import (
    atomic_path,
    encode_image,
    encode_label_map,
    exif_orientation,
    list_images,
    mask_channels,
    pixel_sha256,
    read_image,
    read_image_size,
    read_instances,
    read_mask,
    write_atomically,
)
from data_manifests.label_space import numbered_label_space
from tests.helpers.miniature_datasets import save_image, save_mask


def grey_png(bits, row, width, height=1):
    """A PNG of one row of grey pixels with 1, 2 or 4 bits each, which Pillow cannot write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def transposed(pixels, orientation):
    """Pixels as Pillow turns them for an EXIF orientation."""
    how = Image.Transpose
    methods = (None, how.FLIP_LEFT_RIGHT, how.ROTATE_180, how.FLIP_TOP_BOTTOM)
    methods += (how.TRANSPOSE, how.ROTATE_270, how.TRANSVERSE, how.ROTATE_90)
    method = methods[orientation - 1]
    return pixels if method is None else np.asarray(Image.fromarray(pixels).transpose(method))


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

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK"])
    def test_colours_are_refused(self, tmp_path, mode):
        path = tmp_path / "m.tif"
        Image.new("RGB", (5, 4), (128, 64, 128)).convert(mode).save(path)
        with pytest.raises(DataError, match=rf"m.tif: expected a one-channel mask .* {mode} image of 5x4"):
            read_mask(path)

    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    @pytest.mark.parametrize("bands", [3, 4])
    def test_sixteen_bit_channels_that_agree(self, tmp_path, suffix, bands):
        path, ids = tmp_path / f"m{suffix}", np.array([[0, 1, 2], [300, 26001, 65535]], np.uint16)
        channels = np.dstack([ids, ids, ids, np.full_like(ids, 65535)][:bands])
        if suffix == ".png":
            cv2.imwrite(str(path), channels)
        else:
            tifffile.imwrite(path, channels, photometric="rgb")
        np.testing.assert_array_equal(read_mask(path), ids)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    def test_ids_in_one_of_several_channels(self, tmp_path, suffix, dtype):
        rng = np.random.default_rng(0)
        red, green, blue, alpha = rng.integers(0, np.iinfo(dtype).max, (4, 3, 5)).astype(dtype)
        path = tmp_path / f"m{suffix}"
        if suffix == ".png":
            cv2.imwrite(str(path), np.dstack([blue, green, red, alpha]))
        else:
            tifffile.imwrite(path, np.dstack([red, green, blue, alpha]), photometric="rgb", extrasamples=["unassalpha"])
        for name, expected in {"red": red, "green": green, "blue": blue, "alpha": alpha}.items():
            np.testing.assert_array_equal(read_mask(path, name), expected)
        with pytest.raises(DataError, match=r"channels differ.*--mask-channel red"):
            read_mask(path)
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(path)
        assert read_mask(path, "red").tolist() == [[0, 0], [0, 0]]
        with pytest.raises(DataError, match=r"no channel 'blue'"):
            read_mask(path, "blue")

    def test_transparency_is_no_class(self, tmp_path):
        opaque = np.full(IDS.shape, 255, np.uint8)
        for mode, channels in {"LA": [IDS], "RGBA": [IDS] * 3}.items():
            path = tmp_path / f"{mode}.png"
            Image.fromarray(np.dstack([*channels, opaque])).save(path)
            np.testing.assert_array_equal(read_mask(path), IDS)
            Image.fromarray(np.dstack([*channels, np.where(IDS == 1, 0, 255).astype(np.uint8)])).save(path)
            with pytest.raises(DataError, match=r"1 pixel of this mask of class ids are transparent.*--mask-channel"):
                read_mask(path)
            np.testing.assert_array_equal(read_mask(path, "red"), IDS)
        four = np.dstack([IDS, IDS, IDS, IDS // 2])
        tifffile.imwrite(tmp_path / "four.tif", four, photometric="rgb", extrasamples=["unspecified"])
        with pytest.raises(DataError, match="4 channels differ"):
            read_mask(tmp_path / "four.tif")

    @pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4", "i8", "f4", "f8"])
    @pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
    @pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}], ids=str)
    def test_tiff_gives_what_is_stored(self, tmp_path, dtype, photometric, options):
        ids = np.arange(20 * 30).reshape(20, 30) % 101
        tifffile.imwrite(tmp_path / "m.tif", ids.astype(dtype), photometric=photometric, **options)
        got = read_mask(tmp_path / "m.tif")
        np.testing.assert_array_equal(got, ids)
        assert got.dtype == (np.uint8 if dtype in ("u1", "i1") else np.uint16)

    @pytest.mark.parametrize(
        ("mode", "compression"),
        [*itertools.product(["L", "I;16", "P", "RGB"], ["tiff_lzw", "packbits"]), ("1", "group4")],
    )
    def test_compressed_tiff(self, tmp_path, mode, compression):
        ids = (np.arange(20 * 30).reshape(20, 30) // 7 % (2 if mode == "1" else 101)).astype(np.uint8)
        image = {
            "L": lambda: Image.fromarray(ids),
            "I;16": lambda: Image.fromarray(ids.astype(np.uint16)),
            "1": lambda: Image.fromarray(ids == 1),
            "P": lambda: Image.fromarray(ids),
            "RGB": lambda: Image.fromarray(np.dstack([ids] * 3)),
        }[mode]()
        if mode == "P":
            image.putpalette([channel for i in range(256) for channel in (255 - i, i, 7)])
        image.save(tmp_path / "m.tif", compression=compression)
        np.testing.assert_array_equal(read_mask(tmp_path / "m.tif"), ids)

    @pytest.mark.parametrize("bands", [3, 4])
    def test_sixteen_bits_as_opencv_compresses_them(self, tmp_path, bands):
        ids = (np.arange(20 * 30).reshape(20, 30) * 7).astype(np.uint16)
        channels = [ids, ids + 1, ids + 2, np.full_like(ids, 65535)][:bands]
        cv2.imwrite(str(tmp_path / "m.tif"), np.dstack(channels))  # LZW
        for name, expected in {"blue": ids, "green": ids + 1, "red": ids + 2}.items():
            np.testing.assert_array_equal(read_mask(tmp_path / "m.tif", name), expected)

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
    @pytest.mark.parametrize("options", [{"interleave": "band"}, {"interleave": "pixel", "tiled": True}], ids=str)
    def test_many_bands_as_gdal_compresses_them(self, tmp_path, dtype, options):
        rasterio = pytest.importorskip("rasterio")
        values = np.random.default_rng(0).integers(0, 250, (8, 48, 64)).astype(dtype)
        profile = {"width": 64, "height": 48, "count": 8, "dtype": dtype, "crs": "EPSG:32633", "compress": "lzw"}
        profile |= {"transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5.4e6), "blockxsize": 16, "blockysize": 16}
        with rasterio.open(tmp_path / "m.tif", "w", driver="GTiff", **profile, **options) as file:
            file.write(values)
        shown = read_image(tmp_path / "m.tif", bands=(4, 3, 2), value_range=(0, 255))
        np.testing.assert_array_equal(shown, np.moveaxis(values[[3, 2, 1]], 0, 2))

    def test_no_data_of_a_file_is_void(self, tmp_path):
        for dtype, nodata in (("i1", -1), ("i2", -9999), ("f4", -3.4028235e38), ("f4", np.nan), ("u4", 4294967295)):
            values = np.array([[0, 1, nodata]]).astype(dtype)
            tag = (42113, "s", 0, str(nodata), True)
            tifffile.imwrite(tmp_path / "m.tif", values, photometric="minisblack", extratags=[tag])
            assert read_mask(tmp_path / "m.tif").tolist() == [[0, 1, 65535]], dtype
            assert known_label_space("ade20k").to_train_ids(read_mask(tmp_path / "m.tif"), "class_ids")[0, 2] == 255
        for dtype, low in (("i1", -1), ("i2", -9999), ("f4", -1)):
            tifffile.imwrite(tmp_path / "m.tif", np.array([[0, 1, low]], dtype), photometric="minisblack")
            with pytest.raises(DataError, match=rf"got {low}.*If {low}.* means no data, write 255"):
                read_mask(tmp_path / "m.tif")
        tifffile.imwrite(tmp_path / "m.tif", np.array([[0, 1.5]], "f4"), photometric="minisblack")
        with pytest.raises(DataError, match="got fractions such as 1.5"):
            read_mask(tmp_path / "m.tif")

    @pytest.mark.parametrize("read", [read_image, read_mask, read_image_size])
    def test_several_pages_are_no_image(self, tmp_path, read):
        page = np.zeros((20, 30), np.uint8)
        tifffile.imwrite(tmp_path / "m.tif", np.stack([page] * 3), photometric="minisblack")
        with pytest.raises(DataError, match="holds 3 pages"):
            read(tmp_path / "m.tif")
        with tifffile.TiffWriter(tmp_path / "pyramid.tif") as tiff:  # smaller copies are no pages
            tiff.write(page, photometric="minisblack")
            tiff.write(page[::2, ::2], photometric="minisblack", subfiletype=1)
        read(tmp_path / "pyramid.tif")

    def test_colours_as_numbers(self, tmp_path):
        colors = np.array([[[1, 2, 3], [255, 0, 128]]], np.uint8)
        expected = [[0x010203, 0xFF0080]]
        Image.fromarray(colors).save(tmp_path / "rgb.png")
        Image.fromarray(np.dstack([colors, [[[0], [255]]]]).astype(np.uint8)).save(tmp_path / "rgba.png")
        Image.fromarray(colors).quantize(4).save(tmp_path / "p.png")
        tifffile.imwrite(tmp_path / "rgb.tif", colors, photometric="rgb")
        for name in ("rgb.png", "rgba.png", "p.png", "rgb.tif"):
            assert read_mask(tmp_path / name, "colors").tolist() == expected, name
            assert mask_channels(tmp_path / name) == ("one" if name == "p.png" else "colors")
        Image.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / "grey.png")
        assert read_mask(tmp_path / "grey.png", "colors").tolist() == [[0, 0xFFFFFF]]
        Image.fromarray(colors).save(tmp_path / "m.jpg", quality=100, subsampling=0)
        with pytest.raises(DataError, match="JPEG changes pixel values.*nearest-colors"):
            read_mask(tmp_path / "m.jpg", "colors")
        assert read_mask(tmp_path / "m.jpg", "nearest_colors").dtype == np.uint32

    def test_instances_in_colours(self, tmp_path):
        black, one, two = (0, 0, 0), (128, 0, 0), (0, 128, 0)
        Image.fromarray(np.array([[black, one, two, one]], np.uint8)).save(tmp_path / "m.png")
        assert read_instances(tmp_path / "m.png").tolist() == [[0, 2, 1, 2]]
        many = np.arange(300, dtype=np.uint32)[None]
        Image.fromarray(np.stack([many >> 8, many & 255, many & 1], -1).astype(np.uint8)).save(tmp_path / "m.png")
        got = read_instances(tmp_path / "m.png")
        assert got.dtype == np.uint16 and got[0, 0] == 0 and len(set(got[0].tolist())) == 300 and got[0, 1] >= 1000

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
