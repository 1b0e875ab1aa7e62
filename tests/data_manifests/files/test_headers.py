"""The short way to a header finds what Pillow finds, in every file that it does not leave to Pillow."""

from __future__ import annotations

import io
import os
import zlib
from itertools import product

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from data_manifests import DataError
from data_manifests.files import decode
from data_manifests.files.decode import read_header
from data_manifests.files.headers import plain_header
from tests.helpers.png import START, chunk

_SEGMENTS = {
    "JFIF": b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0",
    "short JFIF": b"\xff\xe0\0\x07JFIF\0",
    "other APP0": b"\xff\xe0\0\x08AVI1\0\0",
    "EXIF": b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0",
    "damaged EXIF": b"\xff\xe1\0\x0cExif\0\0II*\0",
    "XMP": b'\xff\xe1\0\x34http://ns.adobe.com/xap/1.0/\0tiff:Orientation="8"',
    "pages": b"\xff\xe2\0\x08MPF\0II",
    "Adobe": b"\xff\xee\0\x0eAdobe\0d\0\0\0\0\0",
    "comment": b"\xff\xfe\0\x07hello",
    "quantization": b"\xff\xdb\0\x43\0" + bytes(range(1, 65)),
    "16-bit quantization": b"\xff\xdb\0\x83\x10" + bytes(128),
    "cut 16-bit quantization": b"\xff\xdb\0\x43\x10" + bytes(64),
    "bad quantization": b"\xff\xdb\0\x10\0" + bytes(13),
    "Huffman": b"\xff\xc4\0\x05\0\0\0",
    "restart": b"\xff\xdd\0\x04\0\x08",
    "no marker": b"\xff\x01",
    "padding": b"\xff\xff\xff",
    "junk": b"abc",
    "frame": b"\xff\xc0\0\x11\x08\0\x07\0\x09\3\1\x22\0\2\x11\1\3\x11\1",
    "grey frame": b"\xff\xc2\0\x0b\x08\0\x08\0\x05\1\1\x11\0",
    "two layers": b"\xff\xc0\0\x0e\x08\0\x07\0\x09\2\1\x11\0\2\x11\0",
    "12 bits": b"\xff\xc1\0\x0b\x0c\0\x07\0\x09\1\1\x11\0",
    "no lines": b"\xff\xc0\0\x0b\x08\0\0\0\x09\1\1\x11\0",
    "lossless": b"\xff\xc3\0\x0b\x08\0\x07\0\x09\1\1\x11\0",
    "scan": b"\xff\xda\0\x08\1\1\0\0\x3f\0",
    "end": b"\xff\xd9",
}
_PLAIN = (b"PLTE", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"bKGD", b"sBIT", b"tIME")
_OTHERS = {
    b"tRNS": 6,
    b"acTL": 8,
    b"fcTL": 26,
    b"iCCP": 8,
    b"zTXt": 5,
    b"hIST": 2,
    b"unKn": 3,
    b"IEND": 0,
    b"\0\1\2\3": 0,
}
_CHUNKS = [*product(_PLAIN, (0, 1, 9, 32)), *_OTHERS.items()]


def outcome(path):
    try:
        return read_header(path)
    except DataError as error:
        return str(error)


@pytest.fixture
def assert_as_pillow(monkeypatch, tmp_path):
    """Compare a file's header, or what its error says, with those that Pillow alone gives."""

    def check(data, name="a.png"):
        path = tmp_path / name
        path.write_bytes(data)
        found = outcome(path)
        with monkeypatch.context() as context:
            context.setattr(decode, "plain_header", lambda path: None)
            assert found == outcome(path)
        return plain_header(path) is not None

    return check


def encoded(image, format_="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def image_of(mode):
    return Image.fromarray(np.arange(77, dtype=np.uint8).reshape(7, 11)).convert(mode)


def exif(orientation):
    found = Image.Exif()
    found[0x112] = orientation
    return found


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "P", "RGB", "RGBA"])
def test_png_of_every_mode(assert_as_pillow, mode):
    assert assert_as_pillow(encoded(image_of(mode)))
    assert assert_as_pillow(encoded(image_of(mode), dpi=(72, 72)), "wrong suffix.jpg")


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": "town"}, {"dpi": (300, 300)}])
def test_jpeg_of_every_mode(assert_as_pillow, mode, options):
    assert assert_as_pillow(encoded(image_of(mode), "JPEG", **options))


def test_what_is_left_to_pillow(assert_as_pillow):
    image, text = image_of("RGB"), PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    for data in (
        *(encoded(image, format_, exif=exif(turn)) for format_ in ("PNG", "JPEG") for turn in (1, 6, 9)),
        encoded(image, pnginfo=text),
        encoded(image, transparency=(0, 0, 0)),
        encoded(image_of("P"), transparency=0),
        encoded(image, save_all=True, append_images=[image_of("RGB").rotate(180)]),
        encoded(image, "JPEG", icc_profile=b"profile"),
        encoded(image_of("CMYK"), "JPEG"),
        encoded(image, "MPO", save_all=True, append_images=[image]),
        *(encoded(image, format_) for format_ in ("GIF", "BMP", "WEBP", "TIFF")),
        b"",
        b"no image",
    ):
        assert not assert_as_pillow(data)


def test_every_depth_and_colour_of_png(assert_as_pillow):
    for depth, color, interlaced, filters in product((1, 2, 4, 8, 16, 3), (0, 1, 2, 3, 4, 6), (0, 1), (0, 1)):
        header = bytes([0, 0, 0, 11, 0, 0, 0, 7, depth, color, 0, filters, interlaced])
        assert_as_pillow(START + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def test_png_of_any_chunks(assert_as_pillow):
    rng, num_plain = np.random.default_rng(0), 0
    for number in range(300):
        size = [0, 0, 0, 11, 0, 0, 0, 7] if number % 9 else [*rng.integers(0, 256, 8)]
        data = START + chunk(b"IHDR", bytes([*size, 8, rng.choice([0, 2, 3, 6]), 0, 0, 0]))
        for _ in range(rng.integers(0, 3)):
            name, length = _CHUNKS[rng.integers(len(_CHUNKS))]
            added = chunk(name, rng.bytes(length))
            data += added if rng.random() < 0.9 else added[:-1] + b"?"
        num_plain += assert_as_pillow(data + chunk(b"IDAT", zlib.compress(bytes(20))) + chunk(b"IEND", b""))
    assert 40 < num_plain < 260


def test_jpeg_of_any_segments(assert_as_pillow):
    rng, num_plain, names = np.random.default_rng(0), 0, [*_SEGMENTS]
    for _ in range(500):
        some = [*rng.choice(names, rng.integers(0, 4)), *rng.choice(["frame", "grey frame"], 1)]
        rng.shuffle(some)
        data = b"".join(map(_SEGMENTS.__getitem__, some)) + _SEGMENTS["scan"]
        num_plain += assert_as_pillow(b"\xff\xd8" + data + bytes(9) + _SEGMENTS["end"], "a.jpg")
    assert 60 < num_plain < 400


@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_damaged_files(assert_as_pillow, format_):
    rng, whole = np.random.default_rng(0), encoded(image_of("P" if format_ == "PNG" else "RGB"), format_)
    for length in range(0, len(whole), 3):
        assert_as_pillow(whole[:length])
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= int(rng.integers(1, 256))
        assert_as_pillow(bytes(damaged))


def test_the_limit_of_pixels(assert_as_pillow, monkeypatch):
    data = encoded(image_of("L"))
    for limit in ("77", "76", "many"):
        monkeypatch.setenv("SPARSEKIT_MAX_PIXELS", limit)
        if limit == "many":
            with pytest.raises(DataError, match="expected a number"):
                assert_as_pillow(data)
        else:
            assert assert_as_pillow(data) == (limit == "77")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("pipe.png", "", "none.png", "null\0.png"):
        assert plain_header(tmp_path / name) is None
