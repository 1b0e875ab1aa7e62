"""A folder of drawn scenes in the layout of Cityscapes.

Scenes are drawn in a hidden folder inside, which no reader of datasets looks into, and moved up when all are there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from data_manifests.files.images import encode_image, remove_unfinished, write_atomically
from data_manifests.files.lock import FolderLock
from data_manifests.files.paths import as_path, remove_tree
from data_manifests.version import __version__
from sparsekit.demo_data.scene import check_size, draw_scene
from sparsekit.errors import AnnotationError
from sparsekit.parallel import map_in_order

#: Says in the folder how it was made, and that all is there; only a folder that has one is ever replaced.
NOTE = "demo-data.json"
#: Where scenes are drawn.
PARTIAL = ".demo-data.partial"

#: Begins the name of a folder in it for what is replaced. Where there is one, what lies above is ours, note or not.
_REPLACED = "replaced-"

# Images move first: without them nothing is a dataset, and no scene counts as drawn.
_FOLDERS = ("leftImg8bit", "gtFine")

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
        check_size(self.width, self.height)


def scene_name(number: int) -> tuple[str, str]:
    """Split and image id of a scene.

    Example:
        >>> scene_name(0), scene_name(7)
        (('train', 'alder_000000_000019'), ('val', 'willow_000001_000019'))
    """
    split, town = _TOWNS[number % len(_TOWNS)]
    return split, f"{town}_{number // len(_TOWNS):06d}_000019"


def write_demo_data(
    out_dir: str | Path,
    settings: DemoSettings,
    *,
    workers: int = 1,
    overwrite: bool = False,
    on_image: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Draw scenes into a folder in the Cityscapes layout, with labelIds and instanceIds; all are there or none.

    What an interrupted call has drawn stays hidden in the folder, and a call with equal settings goes on from it.

    Args:
        out_dir: The folder; made if it is not there.
        settings: What to draw.
        workers: Processes; the files are the same for any number.
        overwrite: Replace scenes that an earlier call left in the folder.
        on_image: Called after each scene.

    Returns:
        Number of images of each split.

    Raises:
        AnnotationError: If the folder holds scenes and ``overwrite`` is not given, or something else than scenes drawn
            here.
        DataError: If another process is at work on it.
    """
    out_dir = as_path(out_dir)
    _check_place(out_dir, overwrite)
    partial = out_dir / PARTIAL
    lock = FolderLock(partial)
    lock.acquire(out_dir)
    try:
        _check_place(out_dir, overwrite)  # again, as the other process may have just ended
        note = {"tool": "sparsekit demo-data", "tool_version": __version__, **vars(settings)}
        _keep_or_empty(partial, (json.dumps(note, indent=2) + "\n").encode())
        jobs = ((partial, settings, number) for number in range(settings.num_images))
        counts: Counter[str] = Counter()
        for split in map_in_order(_write_scene, jobs, workers):
            counts[split] += 1
            on_image()
        _put_in_place(partial, out_dir)
    finally:
        lock.release()
    return dict(counts)


def _check_place(out_dir: Path, overwrite: bool) -> None:
    if not out_dir.is_dir() or not {path.name for path in out_dir.iterdir()} - {PARTIAL}:
        return
    if (out_dir / NOTE).is_file():
        if not overwrite:
            raise AnnotationError(
                f"{out_dir}: already holds demo data. Give --overwrite to replace it, or another folder."
            )
    elif not any((out_dir / PARTIAL).glob(f"{_REPLACED}*")):
        raise AnnotationError(f"{out_dir}: is not empty and was not made by demo-data. Give another folder.")


def _keep_or_empty(partial: Path, note: bytes) -> None:
    """Keep what an interrupted call has drawn if its note is the same."""
    if not (partial / NOTE).is_file() or (partial / NOTE).read_bytes() != note:
        for path in partial.iterdir():
            remove_tree(path) if path.is_dir() else path.unlink()
        write_atomically(partial / NOTE, note)
    remove_unfinished(partial)


def _put_in_place(partial: Path, out_dir: Path) -> None:
    """Move the scenes up; the note, without which nothing is said to be there, leaves first and comes last."""
    replaced = Path(mkdtemp(prefix=_REPLACED, dir=partial))
    for name in (NOTE, *_FOLDERS):
        if (out_dir / name).exists():
            (out_dir / name).rename(replaced / name)
    for name in (*_FOLDERS, NOTE):
        (partial / name).rename(out_dir / name)
    remove_tree(partial)


def _write_scene(job: tuple[Path, DemoSettings, int]) -> str:
    out_dir, settings, number = job
    split, image_id = scene_name(number)
    town = image_id.split("_")[0]
    image = out_dir / "leftImg8bit" / split / town / f"{image_id}_leftImg8bit.png"
    if image.exists():  # written last, so the scene is complete
        return split
    scene = draw_scene(settings.width, settings.height, settings.seed, image_id)
    masks = out_dir / "gtFine" / split / town
    write_atomically(masks / f"{image_id}_gtFine_labelIds.png", encode_image(scene.label_ids))
    write_atomically(masks / f"{image_id}_gtFine_instanceIds.png", encode_image(scene.instance_ids))
    write_atomically(image, encode_image(scene.image))
    return split
