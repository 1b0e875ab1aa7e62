"""Make a copy of CamVid at a fraction of its size: images by averaging, masks by the upper left pixel of each square.

python studies/shrink_camvid.py CAMVID OUT --factor 2
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import cv2


def shrink(source: Path, out: Path, factor: int) -> int:
    """Write the copy; returns the number of images.

    Args:
        source: Folder with ``{train,val,test}/{images,masks}`` and ``classes.csv``.
        out: Receives the same folders; images become PNG, so that they lose nothing a second time.
        factor: Width and height are divided by this.
    """
    count = 0
    for split in ("train", "val", "test"):
        for kind in ("images", "masks"):
            folder = out / split / kind
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted((source / split / kind).iterdir()):
                # INTER_AREA averages the pixels that become one; a mask's ids must not be mixed.
                flag, way = (1, cv2.INTER_AREA) if kind == "images" else (-1, cv2.INTER_NEAREST)
                array = cv2.imread(str(path), flag)
                height, width = array.shape[:2]
                small = cv2.resize(array, (width // factor, height // factor), interpolation=way)
                cv2.imwrite(str(folder / f"{path.stem}.png"), small)
                count += kind == "images"
    shutil.copy(source / "classes.csv", out / "classes.csv")
    return count


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--factor", type=int, default=2)
    args = parser.parse_args()
    print(f"{shrink(args.source, args.out, args.factor)} images in {args.out}")


if __name__ == "__main__":
    main()
