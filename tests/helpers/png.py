"""PNG files that no library writes."""

from __future__ import annotations

import struct
import zlib

START = b"\x89PNG\r\n\x1a\n"


def chunk(kind, data):
    """A part of a PNG file with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def grey_png(bits, row, width, height=1):
    """A PNG of one row of grey pixels with 1, 2 or 4 bits each, which Pillow cannot write."""
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    return START + body
