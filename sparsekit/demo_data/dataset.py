"""A folder of drawn scenes in the layout of Cityscapes."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_manifests.image_io import encode_image, write_atomically
from data_manifests.version import __version__
from sparsekit.demo_data.scene import SMALLEST, draw_scene
from sparsekit.errors import AnnotationError
from sparsekit.parallel import map_in_order

#: Says in the folder how it was made; only a folder that has one is ever replaced.
NOTE = "demo-data.json"

# Every fourth scene is kept for validation, in a town of its own, as the splits of Cityscapes have their own cities.
_TOWNS = (("train", "alder"), ("train", "birch"), ("train", "cedar"), ("val", "willow"))


@dataclass(frozen=True)
class DemoSettings:
    """What to draw.

    Args:
        num_images: Number of scenes; the scenes of a small set are the first of a large one.
        width: Width in pixels.
        height: Height in pixels.
        seed: Equal seeds give equal scenes.
    """

    num_images: int
    width: int
    height: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_images < 1:
            raise ValueError(f"num_images must be at least 1, got {self.num_images}.")
        if min(self.width, self.height) < SMALLEST:
            raise ValueError(f"size must be at least {SMALLEST}x{SMALLEST}, got {self.width}x{self.height}.")


def scene_name(number: int) -> tuple[str, str]:
    """Split and image id of a scene.

    Example:
        >>> scene_name(0), scene_name(7)
        (('train', 'alder_000000_000019'), ('val', 'willow_000001_000019'))
    """
    split, town = _TOWNS[number % len(_TOWNS)]
    return split, f"{town}_{number // len(_TOWNS):06d}_000019"


def write_demo_data(
    out_dir: Path,
    settings: DemoSettings,
    *,
    workers: int = 1,
    overwrite: bool = False,
    advance: Callable[[], object] = lambda: None,
) -> dict[str, int]:
    """Draw scenes into a folder in the Cityscapes layout, with labelIds and instanceIds.

    Args:
        out_dir: The folder; made if it is not there.
        settings: What to draw.
        workers: Processes; the files are the same for any number.
        overwrite: Replace scenes that an earlier call left in the folder.
        advance: Called after each scene.

    Returns:
        Number of images of each split.

    Raises:
        AnnotationError: If the folder holds anything and ``overwrite`` is not given, or if it holds something else
            than scenes drawn here.
    """
    _make_room(out_dir, overwrite)
    note = {"tool": "sparsekit demo-data", "tool_version": __version__, **vars(settings)}
    write_atomically(out_dir / NOTE, (json.dumps(note, indent=2) + "\n").encode())
    jobs = ((out_dir, settings, number) for number in range(settings.num_images))
    counts: Counter[str] = Counter()
    for split in map_in_order(_write_scene, jobs, workers):
        counts[split] += 1
        advance()
    return dict(counts)


def _make_room(out_dir: Path, overwrite: bool) -> None:
    if not out_dir.is_dir() or not any(out_dir.iterdir()):
        return
    if not (out_dir / NOTE).is_file():
        raise AnnotationError(f"{out_dir}: is not empty and was not made by demo-data. Give another folder.")
    if not overwrite:
        raise AnnotationError(f"{out_dir}: already holds demo data. Give --overwrite to replace it, or another folder.")
    for folder in ("leftImg8bit", "gtFine"):
        shutil.rmtree(out_dir / folder, ignore_errors=True)


def _write_scene(job: tuple[Path, DemoSettings, int]) -> str:
    out_dir, settings, number = job
    split, image_id = scene_name(number)
    town = image_id.split("_")[0]
    scene = draw_scene(settings.width, settings.height, settings.seed, image_id)
    masks = out_dir / "gtFine" / split / town
    write_atomically(masks / f"{image_id}_gtFine_labelIds.png", encode_image(scene.label_ids))
    write_atomically(masks / f"{image_id}_gtFine_instanceIds.png", encode_image(scene.instance_ids))
    picture = out_dir / "leftImg8bit" / split / town / f"{image_id}_leftImg8bit.png"
    write_atomically(picture, encode_image(scene.image))
    return split
