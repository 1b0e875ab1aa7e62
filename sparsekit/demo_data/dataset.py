"""A folder of synthetic scenes in the Cityscapes layout.

Scenes are drawn in a hidden subfolder, which dataset readers ignore, and moved up when all are finished.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from data_manifests.files.atomic import remove_unfinished, write_atomically
from data_manifests.files.images import encode_image
from data_manifests.files.lock import FolderLock
from data_manifests.files.paths import as_path, remove_tree
from data_manifests.parallel import map_in_order
from data_manifests.version import __version__
from sparsekit.demo_data.scene import check_size, draw_scene
from sparsekit.errors import AnnotationError

#: Records in the folder how it was made, and that it is complete; only a folder with this file is ever replaced.
NOTE = "demo-data.json"
#: Where scenes are drawn.
PARTIAL = ".demo-data.partial"

#: Prefix of a subfolder for replaced files. If it exists, the files above it are ours, with or without the note.
_REPLACED = "replaced-"

# Images move first: without them, the folder is not a dataset, and no scene counts as finished.
_FOLDERS = ("leftImg8bit", "gtFine")

#: As many images as the largest datasets have; days of drawing.
MOST_SCENES = 100_000

# Every fourth scene is kept for validation, in a town of its own, as the splits of Cityscapes have their own cities.
_TOWNS = (("train", "alder"), ("train", "birch"), ("train", "cedar"), ("val", "willow"))


@dataclass(frozen=True)
class DemoSettings:
    """Number, size and seed of the scenes.

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
        if not 1 <= self.num_images <= MOST_SCENES:
            raise ValueError(f"num_images must lie between 1 and {MOST_SCENES}, got {self.num_images}.")
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
    workers: int | None = 1,
    overwrite: bool = False,
    on_image: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Draw scenes into a folder in the Cityscapes layout, with labelIds and instanceIds; all appear or none.

    Scenes of an interrupted call stay hidden in the folder, and a call with equal settings resumes it.

    Args:
        out_dir: The folder; created if it does not exist.
        settings: Number, size and seed of the scenes.
        workers: Number of processes, None for as many as save time; it does not change the files.
        overwrite: Replace the scenes of an earlier call.
        on_image: Called after each scene.

    Returns:
        Number of images of each split.

    Raises:
        AnnotationError: If the folder holds scenes and ``overwrite`` is not given, or holds other files.
        DataError: If another process is using it.
    """
    out_dir = as_path(out_dir)
    _check_place(out_dir, overwrite)
    partial = out_dir / PARTIAL
    lock = FolderLock(partial)
    lock.acquire(out_dir)
    try:
        _check_place(out_dir, overwrite)  # again, because the other process may have just finished
        note = {"tool": "sparsekit demo-data", "tool_version": __version__, **vars(settings)}
        _keep_or_empty(partial, (json.dumps(note, indent=2) + "\n").encode())
        jobs = ((partial, settings, number) for number in range(settings.num_images))
        counts: Counter[str] = Counter()
        for split in map_in_order(_write_scene, jobs, workers, total=settings.num_images):
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
    """Keep the scenes of an interrupted call if its note is the same."""
    if not (partial / NOTE).is_file() or (partial / NOTE).read_bytes() != note:
        for path in partial.iterdir():
            remove_tree(path) if path.is_dir() else path.unlink()
        write_atomically(partial / NOTE, note)
    remove_unfinished(partial)


def _put_in_place(partial: Path, out_dir: Path) -> None:
    """Move the scenes up; the old note, which marks the folder as complete, goes first and the new one comes last."""
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
