"""Find the images to segment before torch is imported, so that a wrong path fails immediately."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from agmm.errors import TrainingError
from data_manifests import Manifest
from data_manifests.errors import counted, list_some
from data_manifests.files.images import IMAGE_SUFFIXES, list_images
from data_manifests.files.paths import as_path, without_links
from data_manifests.files.volumes import NIFTI_SUFFIXES, volume_stem
from data_manifests.layouts.mask_files import masks_among
from data_manifests.manifest.rows import require_files

_SUFFIXES = (*IMAGE_SUFFIXES, *NIFTI_SUFFIXES)

#: Subfolders of the output folder.
RESULT_FOLDERS = ("label_maps", "overlays", "probabilities", "mixture")


def is_manifest(path: Path) -> bool:
    """Whether a source is a manifest: a CSV file, or a folder that holds ``manifest.csv``."""
    return path.suffix.lower() == ".csv" or (path / "manifest.csv").is_file()


def images_of_manifest(manifest: Manifest, split: str | None = None) -> dict[Path, Path]:
    """The images of a manifest by image id, which names their results.

    Args:
        manifest: The manifest.
        split: This split only.

    Raises:
        TrainingError: If a row has no image.
        ManifestError: If the split has no rows, or images are missing.
    """
    rows = manifest.rows_of(split)
    if bare := next((row for row in rows if not row.image), None):
        raise TrainingError(f"{manifest.path}: image '{bare.image_id}' has no file to segment.")
    found = {Path(row.image_id): manifest.resolve(row.image) for row in rows}
    require_files(manifest, found.values())
    return found


def find_images(
    sources: Sequence[str | Path], out_dir: str | Path, on_skipped: Callable[[str], None] = lambda _: None
) -> dict[Path, Path]:
    """Find the images to segment, by the name of their results without extension.

    Args:
        sources: Images with any extension, and folders, which are searched at any depth for ``IMAGE_SUFFIXES`` and
            NIfTI; names keep the relative path in the folder. In the folder of a dataset, its masks are skipped.
        out_dir: Output folder; earlier predictions in it are skipped.
        on_skipped: Called with a message about the masks and the other files of each folder, except hidden ones.

    Raises:
        TrainingError: If there are no images, a source does not exist, is one manifest of several or holds annotations,
            or two results would have the same name.
        DataError: If a folder is a dataset whose images and masks do not pair up.
    """
    results = {without_links(as_path(out_dir) / name) for name in RESULT_FOLDERS}
    found: dict[Path, Path] = {}
    others: list[str] = []
    for source in map(as_path, sources):
        if not source.exists():
            raise TrainingError(f"{source}: no such image or folder.")
        if is_manifest(source):
            raise TrainingError(f"{source}: is a manifest. Give it alone, or name images and their folders.")
        is_folder = source.is_dir()
        files = list_images(source, ("",)) if is_folder else [source]
        files = [path for path in files if not results.intersection(without_links(path).parents)]
        if annotations := sorted(str(path.parent) for path in files if path.name == "manifest.csv"):
            raise TrainingError(
                f"{source}: holds annotations, whose labels are no images ({list_some(annotations)}). Give one "
                "manifest, or the folder of the images."
            )
        if is_folder and (masks := masks_among(source, files)):
            files = [path for path in files if path not in masks]
            count = sum(path.name.lower().endswith(_SUFFIXES) for path in masks)
            others.append(
                f"{source}: is a dataset; skipped its {counted(count, 'mask')}, as only images are segmented."
            )
        inside = [path for path in files if path.name.lower().endswith(_SUFFIXES)] if is_folder else files
        if len(inside) < len(files):
            others.append(f"{source}: {_describe_others(set(files).difference(inside))}")
        for path in inside:
            name = volume_stem(path.relative_to(source) if is_folder else Path(path.name))
            if name in found:
                raise TrainingError(
                    f"{found[name]} and {path} would both be written as '{name.as_posix()}'. Predict them separately, "
                    "each with its own --out."
                )
            found[name] = path
    if not found:
        more = f" {others[0]}" if others else ""
        raise TrainingError(f"{list_some([str(s) for s in sources])}: contains no images.{more}")
    for text in others:
        on_skipped(text)
    return found


def _describe_others(paths: Collection[Path]) -> str:
    """Describe the skipped files by their extensions."""
    endings = Counter(path.suffix.lower() or "no ending" for path in paths).most_common()
    kinds = list_some([f"{count:,} {ending}" for ending, count in sorted(endings, key=lambda e: (-e[1], e[0]))], 5)
    return (
        f"skipped {counted(len(paths), 'file')} ({kinds}). In folders, only files ending in "
        f"{', '.join(_SUFFIXES)} are images; name others explicitly."
    )
