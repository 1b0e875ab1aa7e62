"""Readers of volumes, their slices, and scenes; see :mod:`tests.faults.readers`."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import tifffile

from data_manifests.files.atomic import write_atomically
from data_manifests.files.geo import is_georeferenced, write_georeferenced
from data_manifests.files.images import encode_image, read_image
from data_manifests.files.masks import read_mask
from data_manifests.files.scenes import open_scene, write_scene_labels
from data_manifests.files.slices import slice_of, stack
from data_manifests.files.volumes import write_volume
from data_manifests.layouts.volumes import classes_of, find_volumes
from sparsekit.volumes import write_slices
from tests.faults.readers import Reader

_SHAPE = (6, 4, 8)


def write_volume_readers(root: Path) -> dict[str, Reader]:
    """Write a whole file for each reader, and return them by name."""
    return _of_volumes(root) | _of_slices(root) | _of_scenes(root)


def _of_volumes(root: Path) -> dict[str, Reader]:
    import nibabel

    values = np.random.default_rng(0).integers(-1000, 1500, _SHAPE).astype(np.int16)
    mask = (values > 500).astype(np.uint8)
    affine = np.array([[0.0, 0.0, -1.0, 4.0], [-2.0, 0.0, 0.0, 3.0], [0.0, 5.0, 0.0, -6.0], [0, 0, 0, 1]])
    nifti = root / "nifti"
    for place, array in (("imagesTr/a_0000.nii", values), ("labelsTr/a.nii.gz", mask)):
        (nifti / place).parent.mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(array, affine), nifti / place)
    (nifti / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "bone": 1, "ignore": 2}}))
    pages = root / "pages"
    for kind, array in (("images", values), ("masks", mask)):
        (pages / kind).mkdir(parents=True)
        tifffile.imwrite(pages / kind / "a.tif", array, photometric="minisblack")
    return {
        "volume .nii": Reader(nifti, "imagesTr/a_0000.nii", _slice),
        "volume .nii.gz": Reader(nifti, "labelsTr/a.nii.gz", _slice),
        "volume .tif": Reader(pages, "images/a.tif", _slice),
        "mask of volume .tif": Reader(pages, "masks/a.tif", _slice),
        "dataset.json": Reader(nifti, "dataset.json", classes_of),
    }


def _slice(folder: Path) -> object:
    return write_slices(find_volumes(folder), folder / "exported", axis="coronal", label_space=classes_of(folder))


def _of_slices(root: Path) -> dict[str, Reader]:
    folder = root / "nifti-slices"
    write_slices(find_volumes(root / "nifti"), folder)

    def put_together(copy: Path) -> object:
        path = copy / "masks/a/slice_001.png"
        if (place := slice_of(path)) is None:
            return None
        whole = stack({place.number: read_mask(path)}, place.grid, 255)
        return write_volume(copy / "exported.nii.gz", whole, place.grid)

    return {
        "volumes.json": Reader(folder, "volumes.json", put_together),
        "slice .tif": Reader(
            folder, "images/a/slice_001.tif", lambda copy: read_image(copy / "images/a/slice_001.tif", None, (0, 9))
        ),
    }


def _of_scenes(root: Path) -> dict[str, Reader]:
    folder = root / "scenes"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 3000, (24, 40, 4)).astype(np.uint16)
    place = [(33550, "d", 3, (10.0, 10.0, 0.0)), (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 5e6, 0.0))]
    tifffile.imwrite(
        folder / "geo.tif", pixels, compression="zlib", tile=(16, 16), extratags=[(*t[:3], t[3], True) for t in place]
    )
    tifffile.imwrite(folder / "plain.tif", pixels[..., :3], photometric="rgb")
    readers = {
        f"scene {kind}": Reader(folder, f"{kind}.tif", partial(_windows, kind, has_rasterio=True))
        for kind in ("geo", "plain")
    }
    return readers | {
        "scene without rasterio": Reader(folder, "plain.tif", partial(_windows, "plain", has_rasterio=False)),
        "georeferenced": Reader(folder, "geo.tif", _place),
    }


def _windows(kind: str, folder: Path, has_rasterio: bool) -> None:
    hidden = {} if has_rasterio else {"rasterio": None}
    with mock.patch.dict(sys.modules, hidden), open_scene(folder / f"{kind}.tif") as scene:
        height, width = scene.layout.height, scene.layout.width
        with write_scene_labels(folder / "exported/a.tif", scene, np.uint8, 255, None) as write:
            for top in range(0, height, 16):
                rows = slice(top, min(top + 16, height))
                scene.read(rows, slice(0, min(16, width)))
                write(np.zeros((rows.stop - top, width), np.uint8))


def _place(folder: Path) -> None:
    path = folder / "geo.tif"
    image = read_image(path, [1, 2, 3])
    write_atomically(folder / "exported/a.png", encode_image(image))
    if is_georeferenced(path):
        write_georeferenced(folder / "exported/a.tif", image[:, :, 0], path, 255)
