"""Scribbles beside those of other generators on the same masks: time, and what they leave wrong or out.

    pip install scribble-from-segmentation
    git clone https://github.com/wbkit/Scribbles4All
    python benchmarks/scribble_peers.py cityscapes/ --scribbles4all Scribbles4All/s4ScribbleGenerator

Each generator runs with its own settings (Scribbles4All with those for Cityscapes) in a process of its own, which
reports the CPU time of its work without imports. A stub replaces h5py, which Scribbles4All imports for a second output.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelMap, open_dataset
from data_manifests.files.masks import read_mask
from sparsekit.geometry.rasterize import rasterize
from sparsekit.randomness import ImageStream
from sparsekit.scribbles.settings import ScribbleSettings
from sparsekit.scribbles.trace import trace_scribbles

_SCRIBBLES4ALL = """
import sys, time, types
sys.modules["h5py"] = types.ModuleType("h5py")
sys.path.insert(0, ".")
import numpy as np
import create_scribble
create_scribble.CONFIG_PATH = "configs/configCS.json"
np.random.seed(0)
start = time.process_time()
create_scribble.main("{folder}/masks/mask.png", "{folder}/mask.png", overwrite_files=True)
print(time.process_time() - start)
"""
_FROM_SEGMENTATION = """
import time
from scribble_from_segmentation import generate_annotations_from_segmentations
start = time.process_time()
generate_annotations_from_segmentations("{folder}/masks", "{folder}", background_class=[0, 0, 0])
print(time.process_time() - start)
"""

#: A sparse label map, with train id + 1 and 0 for unlabelled pixels, and the CPU seconds that it took.
_Result = tuple[NDArray[np.integer], float]


def run(script: str, where: Path | None, label_map: LabelMap, void: int) -> _Result:
    """Run another generator; both take grey 0 for background and leave it out."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "masks").mkdir()
        cv2.imwrite(f"{folder}/masks/mask.png", np.where(label_map == void, 0, label_map + 1).astype(np.uint8))
        command = [sys.executable, "-W", "ignore", "-c", script.replace("{folder}", folder)]
        printed = subprocess.run(command, cwd=where, check=True, capture_output=True, text=True).stdout
        drawn = cv2.imread(f"{folder}/mask.png", cv2.IMREAD_GRAYSCALE)
    assert drawn is not None
    return drawn.astype(np.int64), float(printed.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--images", type=int, default=2, help="masks to run the generators on; a minute each (2)")
    parser.add_argument("--scribbles4all", type=Path, help="folder s4ScribbleGenerator of a clone")
    arguments = parser.parse_args()
    dataset = open_dataset(arguments.dataset)
    space, void = dataset.label_space, dataset.label_space.unlabelled_value

    def ours(label_map: LabelMap, image_id: str) -> _Result:
        rng, start = ImageStream(0, image_id, "scribbles"), time.process_time()
        (marks,) = trace_scribbles(label_map, ScribbleSettings(), rng=rng, unlabelled_value=void)
        sparse = rasterize(marks, (label_map.shape[0], label_map.shape[1]), space)
        return np.where(sparse == void, 0, sparse.astype(np.int64) + 1), time.process_time() - start

    generators: dict[str, Callable[[LabelMap, str], _Result]] = {"sparsekit": ours}
    if find_spec("scribble_from_segmentation"):
        generators["scribble-from-segmentation"] = lambda mask, _: run(_FROM_SEGMENTATION, None, mask, void)
    if arguments.scribbles4all:
        generators["Scribbles4All"] = lambda mask, _: run(_SCRIBBLES4ALL, arguments.scribbles4all, mask, void)
    print("| image | generator | CPU s | labelled px | off class, px | classes lost | times ours |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for item in dataset.items[: arguments.images]:
        label_map = space.to_train_ids(read_mask(item.mask_path), dataset.encoding)
        full = np.where(label_map == void, 0, label_map.astype(np.int64) + 1)
        ours(label_map, item.image_id)  # imports scipy
        our_seconds = 0.0
        for name, generator in generators.items():
            drawn, seconds = generator(label_map, item.image_id)
            our_seconds = our_seconds or seconds
            off = np.count_nonzero((drawn > 0) & (drawn != full))
            classes = set(np.unique(full).tolist()) - {0}
            lost = len(classes - set(np.unique(drawn).tolist()))
            cells = (item.image_id, name, f"{seconds:.3f}", f"{np.count_nonzero(drawn):,}", f"{off:,}",
                     f"{lost} of {len(classes)}", f"{seconds / our_seconds:.0f}")  # fmt: skip
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
