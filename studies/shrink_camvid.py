"""Make a copy of CamVid at a fraction of its size: images by averaging, masks by the nearest pixel.

python studies/shrink_camvid.py CAMVID OUT --factor 2

Tiles hold fewer classes than whole images. To cut each image into 3 x 3 tiles first:

python studies/shrink_camvid.py CAMVID OUT --grid 3 --factor 1
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import cv2
import numpy as np


def shrink(source: Path, out: Path, factor: float, grid: int = 1) -> int:
    """Write the copy; returns the number of images.

    Args:
        source: Folder with ``{train,val,test}/{images,masks}`` and ``classes.csv``.
        out: Receives the same folders; images become PNG, so that they lose nothing a second time.
        factor: Width and height are divided by this.
        grid: Rows and columns of tiles. To train on as many images as CamVid has, one tile of each training image is
            kept, in turn; of the other splits all are.
    """
    count = 0
    for split in ("train", "val", "test"):
        for kind in ("images", "masks"):
            folder = out / split / kind
            folder.mkdir(parents=True, exist_ok=True)
            for number, path in enumerate(sorted((source / split / kind).iterdir())):
                # INTER_AREA averages the pixels that become one; a mask's ids must not be mixed.
                flag, way = (1, cv2.INTER_AREA) if kind == "images" else (-1, cv2.INTER_NEAREST)
                tiles = cut(cv2.imread(str(path), flag), grid)
                for index in (number % len(tiles),) if split == "train" else range(len(tiles)):
                    height, width = tiles[index].shape[:2]
                    small = cv2.resize(tiles[index], (int(width / factor), int(height / factor)), interpolation=way)
                    name = path.stem if grid == 1 else f"{path.stem}_{index}"
                    cv2.imwrite(str(folder / f"{name}.png"), small)
                    count += kind == "images"
    shutil.copy(source / "classes.csv", out / "classes.csv")
    return count


def cut(array: np.ndarray, grid: int) -> list[np.ndarray]:
    """The tiles of an image or mask, row by row."""
    return [tile for row in np.array_split(array, grid) for tile in np.array_split(row, grid, axis=1)]


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--factor", type=float, default=2)
    parser.add_argument("--grid", type=int, default=1)
    args = parser.parse_args()
    print(f"{shrink(args.source, args.out, args.factor, args.grid)} images in {args.out}")


if __name__ == "__main__":
    main()
