"""Masks in every encoding that people have."""

from __future__ import annotations

import io
import itertools

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from data_manifests import DataError, known_label_space
from data_manifests.files.atomic import write_atomically
from data_manifests.files.images import read_image, read_image_size
from data_manifests.files.masks import encode_label_map, mask_channels, pixel_sha256, read_instances, read_mask
from data_manifests.label_space import numbered_label_space
from tests.helpers.miniature_datasets import save_mask
from tests.helpers.png import grey_png

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
        Image.fromarray(np.array([[two, one, one]], np.uint8)).save(tmp_path / "m.png")
        assert read_instances(tmp_path / "m.png").tolist() == [[1, 2, 2]]  # 0 is black alone
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

    @pytest.mark.parametrize(
        "options", [{}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"}], ids=["plain", "extended"]
    )
    @pytest.mark.parametrize("mode", ["RGB", "RGBA"])
    def test_lossy_webp_is_refused(self, tmp_path, mode, options):
        """Its pixels are in other chunks than those of a lossless one, behind others if there is alpha or EXIF."""
        image = Image.fromarray(np.repeat(IDS[:, :, None], 3, axis=2)).convert(mode)
        image.putalpha(200) if mode == "RGBA" else None
        image.save(tmp_path / "m.webp", quality=90, **options)
        with pytest.raises(DataError, match=r"m.webp: lossy WebP changes pixel values"):
            read_mask(tmp_path / "m.webp", "red")
        image.save(tmp_path / "m.webp", lossless=True, exact=True, **options)
        np.testing.assert_array_equal(read_mask(tmp_path / "m.webp", "red"), IDS)

    @pytest.mark.parametrize("ending", ["gif", "png", "webp"])
    def test_several_frames_are_refused(self, tmp_path, ending):
        """As several pages of a TIFF are: which of them is the mask?"""
        frames = [Image.fromarray(np.repeat(IDS[:, :, None], 3, axis=2) + number) for number in (0, 100)]
        frames[0].save(tmp_path / f"m.{ending}", save_all=True, append_images=frames[1:], lossless=True)
        for read in (read_mask, read_image, read_image_size):
            with pytest.raises(DataError, match=rf"m.{ending}: holds several frames"):
                read(tmp_path / f"m.{ending}")


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
