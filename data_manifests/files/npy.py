"""Read untrusted headers of NumPy's arrays in bounded memory."""

from __future__ import annotations

from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether it is in Fortran order, and type of an array; leaves the file at its first value.

    Only version 1 is read, which NumPy writes for all arrays without fields: headers of later ones declare up to 4 GiB.

    Raises:
        ValueError: If it is not such a header.
    """
    try:
        if (version := npy.read_magic(file)) != (1, 0):
            raise ValueError(f"version {version[0]}.{version[1]} of the format; expected 1.0")
        return npy.read_array_header_1_0(file)
    except (EOFError, SyntaxError, TokenError) as error:  # the header is a Python literal
        raise ValueError(str(error)) from error
