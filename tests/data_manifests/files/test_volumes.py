"""Slices of volumes of every orientation, and the volumes that are written of them."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from data_manifests.files.axes import AXES, Axis
from data_manifests.files.volumes import Grid, read_volume, write_volume

nibabel = pytest.importorskip("nibabel", reason="needs nibabel, extra medical")

SHAPE = (2, 3, 4)
#: Which of x, y and z each stored axis runs along, and which way.
ORIENTATIONS = [(order, signs) for order in permutations(range(3)) for signs in product((1.0, -1.0), repeat=3)]
#: Of slices, rows and columns: x to the right, y to the front, z up, and which way.
PLANES = {
    "axial": ((2, 1), (1, -1), (0, -1)), "coronal": ((1, -1), (2, -1), (0, -1)), "sagittal": ((0, -1), (2, -1), (1, -1))
}  # fmt: skip


@pytest.mark.parametrize("axis", AXES)
def test_slices_run_as_the_plane_says_and_are_stored_as_they_were(tmp_path: Path, axis: Axis) -> None:
    for order, signs in ORIENTATIONS:
        affine = np.eye(4)
        affine[:3, :3] = 0
        affine[list(order), range(3)] = signs
        places = np.einsum("ij,j...->i...", affine[:3, :3], np.indices(SHAPE)).astype(np.float32)
        for coordinate, stored in enumerate(places):
            nibabel.save(nibabel.Nifti1Image(stored, affine), tmp_path / "in.nii")
            volume = read_volume(tmp_path / "in.nii", axis)
            (dimension,) = [n for n, (along, _) in enumerate(PLANES[axis]) if along == coordinate]
            assert (np.diff(volume.slices, axis=dimension) == PLANES[axis][dimension][1]).all()
            write_volume(tmp_path / "out.nii.gz", volume.slices, volume.grid)
            again = nibabel.load(tmp_path / "out.nii.gz")
            np.testing.assert_array_equal(np.asarray(again.dataobj), stored)
            np.testing.assert_array_equal(again.affine, affine)


def test_pages_of_tiff_become_slices_along_z(tmp_path: Path) -> None:
    pages = np.arange(24, dtype=np.uint8).reshape(SHAPE)
    write_volume(tmp_path / "a.tif", pages, Grid(SHAPE))
    volume = read_volume(tmp_path / "a.tif")
    np.testing.assert_array_equal(volume.slices, pages)
    write_volume(tmp_path / "a.nii.gz", volume.slices, volume.grid)
    found = nibabel.load(tmp_path / "a.nii.gz")
    for page, row, col in np.ndindex(SHAPE):
        assert found.dataobj[col, row, page] == pages[page, row, col]
    np.testing.assert_array_equal(found.affine, np.eye(4))
