"""Headers of NumPy's arrays."""

from __future__ import annotations

import io

import numpy as np
import pytest

from data_manifests.files.npy import read_npy_header


def saved(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version)
    return file.getvalue()


def test_a_header_is_read_and_no_value() -> None:
    file = io.BytesIO(saved(np.arange(6, dtype=np.int16).reshape(2, 3)))
    assert read_npy_header(file) == ((2, 3), False, np.dtype(np.int16))
    assert np.frombuffer(file.read(), np.int16).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x93NUMPY", b"PK\3\4", saved(np.zeros(3))[:40], saved(np.zeros(3)).replace(b"(3,)", b"(3, "),
        saved(np.zeros(3), (2, 0)),
        # A header that declares 4 GiB, which NumPy allocates.
        b"\x93NUMPY\2\0\xff\xff\xff\xff{",
    ],
)  # fmt: skip
def test_others_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        read_npy_header(io.BytesIO(data))
