"""Derive manifests from others: subsets and unions. Files stay in place; only their paths are rewritten."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_manifests.errors import ManifestError, counted, list_some
from data_manifests.files.lock import FolderLock
from data_manifests.files.paths import absolute, as_path, name_from
from data_manifests.manifest.classes import require_equal_classes
from data_manifests.manifest.io import aside, read_manifest, write_manifest
from data_manifests.manifest.marks import read_marks_of, write_marks
from data_manifests.manifest.rows import names_web, require_no_web
from data_manifests.manifest.schema import Manifest, ManifestInfo, ManifestRow, Mark

#: Setting that records how a manifest was derived, one entry per step, in order.
HISTORY = "history"

#: The files of a manifest; a folder is a manifest once the first exists.
_NAMES = ("manifest.csv", "manifest.json", "marks.parquet", "marks.csv")


@dataclass(frozen=True)
class Derived:
    """A manifest to write, and the sources of its marks.

    Args:
        manifest: Its rows name files relative to its folder.
        sources: Each a manifest and, for the images taken from it, the old id and the new.
    """

    manifest: Manifest
    sources: tuple[tuple[Manifest, Mapping[str, str]], ...]

    @property
    def without_marks(self) -> tuple[Manifest, ...]:
        """Sources with annotated images but without marks, such as imported ones."""
        return tuple(
            source
            for source, ids in self.sources
            if not source.marks_path.is_file() and any(row.annotation and row.image_id in ids for row in source.rows)
        )

    def write(self, *, overwrite: bool = False) -> None:
        """Write the manifest, and the marks if all sources have them; a partial file would look complete.

        The files are written to a hidden folder and moved into place together: a killed call leaves the old files or
        no manifest, never one beside the marks of another. Other files in the folder are kept.

        Raises:
            ManifestError: If a manifest exists and ``overwrite`` is not set, or an image id or split cannot
                name a file.
            DataError: If another process is writing there.
        """
        folder = self.manifest.path.parent
        made = aside(folder)
        lock = FolderLock(made)
        lock.acquire(self.manifest.path)
        try:
            if self.manifest.path.exists() and not overwrite:
                raise ManifestError(f"{self.manifest.path}: exists. Give --overwrite to replace it, or another --out.")
            if made != folder:
                _remove(made, [path.name for path in made.iterdir()])  # left by a killed call
            try:
                self._write_to(made)
            except BaseException:
                _remove(made, _NAMES if made != folder else ())
                raise
            if made != folder:
                _move(made, folder)
        finally:
            lock.release()

    def _write_to(self, folder: Path) -> None:
        if any(source.marks_path.is_file() for source, _ in self.sources) and not self.without_marks:
            write_marks(folder / "marks.csv", self._marks())
        else:  # on an object store, those of a previous manifest may remain
            _remove(folder, ["marks.csv"])
        _remove(folder, ["marks.parquet"])
        write_manifest(replace(self.manifest, path=folder / "manifest.csv"))

    def _marks(self) -> Iterator[tuple[str, list[Mark]]]:
        # Each stream is sorted by id, so merging keeps the order without holding all marks in memory.
        streams = [_renamed_marks(source, ids) for source, ids in self.sources if source.marks_path.is_file()]
        return heapq.merge(*streams, key=lambda image: image[0])


def _remove(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _move(made: Path, folder: Path) -> None:
    """Move files into place; until the last one is moved there is no manifest, only old and new files set aside."""
    if (folder / "manifest.csv").exists():
        (folder / "manifest.csv").rename(made / "replaced.csv")
    for name in reversed(_NAMES):
        if (made / name).exists():
            (made / name).rename(folder / name)
        else:  # from a previous manifest
            (folder / name).unlink(missing_ok=True)
    _remove(made, ["replaced.csv"])
    made.rmdir()


def _renamed_marks(source: Manifest, ids: Mapping[str, str]) -> Iterator[tuple[str, list[Mark]]]:
    return ((ids[image_id], marks) for image_id, marks in read_marks_of(source) if image_id in ids)


def hash_order(seed: int, name: str) -> bytes:
    """Sort key for a random but reproducible order of names.

    Example:
        >>> sorted(["a", "b", "c", "d"], key=lambda name: hash_order(0, name))
        ['b', 'a', 'c', 'd']
    """
    return hashlib.sha256(f"{seed} {name}".encode()).digest()


def read_source(manifest: Manifest, *, unchanged: bool = True) -> Manifest:
    """Read the manifest that another was made from, by growing its labels or adding marks.

    Args:
        manifest: The other manifest. If it names no server, neither may its source: whoever reads a stranger's
            manifest has consented to the addresses in that one only.
        unchanged: Check that the source has not changed since.

    Raises:
        ManifestError: If none is recorded, it is missing, has changed or names a server.
    """
    settings = manifest.info.settings
    if not isinstance(named := settings.get("source"), str):
        raise ManifestError(f"{manifest.path}: does not record the manifest that it was made from.")
    source = read_manifest(manifest.resolve(named))
    if not names_web(manifest):
        require_no_web(source)
    if unchanged and source.sha256() != settings.get("source_sha256"):
        raise ManifestError(
            f"{manifest.path}: was made from {source.path}, which has changed since. Restore that, or make this again."
        )
    return source


def derive_manifest(
    source: Manifest, rows: Iterable[ManifestRow], out_dir: str | Path, step: Mapping[str, Any]
) -> Derived:
    """Derive a manifest with some rows of another, possibly in other splits.

    Args:
        source: The source manifest.
        rows: Rows as in ``source``; paths are rewritten here.
        out_dir: Folder of the new manifest.
        step: Provenance of this step: ``command`` and its settings.

    Raises:
        ManifestError: If there are no rows.
    """
    out_dir = as_path(out_dir)
    kept = tuple(rebase_row(source, row, out_dir) for row in rows)
    if not kept:
        raise ManifestError(f"{source.path}: no rows are left. {source.splits_in_words()}")
    info = rebase_info(source, out_dir)
    info = replace(info, settings=_with_step(info, step))
    manifest = Manifest(out_dir / "manifest.csv", kept, info)
    return Derived(manifest, ((source, {row.image_id: row.image_id for row in kept}),))


def subset_manifest(
    source: Manifest,
    out_dir: str | Path,
    *,
    image_ids: Collection[str] | None = None,
    classes: Collection[str] = (),
    split: str | None = None,
    count: int | None = None,
    seed: int = 0,
) -> Derived:
    """Derive a manifest with fewer images; subsets of different ``count`` are nested.

    Args:
        source: The source manifest.
        out_dir: Folder of the new manifest.
        image_ids: Keep only these images.
        classes: Keep only images with a label of one of these classes, by name.
        split: Select only within this split, and keep all other rows.
        count: Number of the remaining images to keep, chosen by a hash of seed and image id.
        seed: Seed of the selection.

    Raises:
        ManifestError: If an image, class or split is unknown, or no row is left.
        ValueError: If ``count`` is below 1.
    """
    if count is not None and not count >= 1:
        raise ValueError(f"count must be at least 1 image, got {count}.")
    names = source.label_space.class_names
    if unknown := [name for name in classes if name not in names]:
        raise ManifestError(f"{source.path}: no class {list_some(unknown)}. Classes: {list_some([*names], limit=40)}.")
    rows = source.rows_of(split)
    if unknown := sorted(set(image_ids or ()) - {row.image_id for row in rows}):
        raise ManifestError(f"{source.path}: no image {list_some(unknown)}.")
    wanted = {names.index(name) for name in classes}
    kept = [
        row
        for row in rows
        if (image_ids is None or row.image_id in image_ids) and (not wanted or wanted & set(row.classes_labelled))
    ]
    if count is not None:
        kept = sorted(kept, key=lambda row: hash_order(seed, row.image_id))[:count]
    others = [row for row in source.rows if split not in (None, row.split)]
    settings = {"classes": sorted(classes), "count": count, "seed": seed, "split": split}
    listed = None if image_ids is None else len(image_ids)
    return derive_manifest(
        source, [*kept, *others], out_dir, {"command": "subset", **settings, "listed_images": listed}
    )


def merge_manifests(sources: Sequence[Manifest], out_dir: str | Path, *, prefix: bool = False) -> Derived:
    """Merge several manifests into one.

    Args:
        sources: At least one; all with the same classes and the same encoding of full masks.
        out_dir: Folder of the new manifest.
        prefix: Put ``<dataset>/`` before each image id, for datasets that use the same ids.

    Raises:
        ManifestError: If classes or encodings differ, or two different rows have the same image id.
    """
    require_equal_classes(sources)
    first = sources[0]
    for other in sources[1:]:
        if other.info.images != first.info.images:
            raise ManifestError(
                f"{other.path} displays other bands or values of its images than {first.path}; all sources must "
                "display the same."
            )
        if other.info.mask_encoding != first.info.mask_encoding:
            raise ManifestError(
                f"{other.path} names full masks of {other.info.mask_encoding.replace('_', ' ')}, {first.path} of "
                f"{first.info.mask_encoding.replace('_', ' ')}; all sources must use the same."
            )
    out_dir = as_path(out_dir)
    rows: dict[str, ManifestRow] = {}
    taken: list[tuple[Manifest, dict[str, str]]] = []
    clashes = []
    for source in sources:
        ids = {}
        for row in source.rows:
            new_id = f"{source.info.dataset}/{row.image_id}" if prefix else row.image_id
            new = replace(rebase_row(source, row, out_dir), image_id=new_id)
            if new_id not in rows:
                rows[new_id] = new
                ids[row.image_id] = new_id
            elif rows[new_id] != new:
                clashes.append(new_id)
        taken.append((source, ids))
    if clashes:
        advice = ", give --prefix if they are different images, or --union or --vote if several people annotated them"
        raise ManifestError(
            f"{counted(len(clashes), 'image is', 'images are')} in several manifests with different rows: "
            f"{list_some(clashes)}. Leave some out (sparsekit subset){'' if prefix else advice}."
        )
    info = _merged_info([rebase_info(source, out_dir) for source in sources], prefix)
    merged = Manifest(out_dir / "manifest.csv", tuple(rows.values()), info)
    return Derived(merged, tuple(taken))


def _merged_info(infos: Sequence[ManifestInfo], prefix: bool) -> ManifestInfo:
    """Keep the entries that all sources share, so that annotations stay reproducible, and list the others."""
    first = infos[0]
    step = {"command": "merge", "prefix": prefix}
    if not prefix and all(replace(info, tool_version=first.tool_version) == first for info in infos):
        return replace(first, settings=_with_step(first, step | {"num_sources": len(infos)}))
    origins = [
        {"dataset": i.dataset, "layout": i.layout, "command": i.command, "settings": dict(i.settings)} for i in infos
    ]
    return replace(
        first,
        dataset="+".join(sorted({info.dataset for info in infos})),
        layout=first.layout if len({info.layout for info in infos}) == 1 else "",
        command="merge",
        settings={"sources": origins, HISTORY: [step]},
    )


def _with_step(info: ManifestInfo, step: Mapping[str, Any]) -> dict[str, Any]:
    before = info.settings.get(HISTORY, [])
    return {**info.settings, HISTORY: [*(before if isinstance(before, list) else [before]), dict(step)]}


def rebase_row(source: Manifest, row: ManifestRow, folder: Path) -> ManifestRow:
    """Rewrite a row for a manifest in another folder; absolute paths and URLs stay."""
    image, full_mask, annotation = (
        _rebase(source, path, folder) for path in (row.image, row.full_mask, row.annotation)
    )
    return replace(row, image=image, full_mask=full_mask, annotation=annotation)


def rebase_info(source: Manifest, folder: Path) -> ManifestInfo:
    """Rewrite the settings for a manifest in another folder: the paths of files whose hash is recorded beside them."""
    settings = dict(source.info.settings)
    for name, value in source.info.settings.items():
        if isinstance(value, str) and f"{name}_sha256" in settings:
            settings[name] = _rebase(source, value, folder)
    return replace(source.info, settings=settings)


def _rebase(source: Manifest, path: str, folder: Path) -> str:
    if not path or "://" in path or Path(path).is_absolute():
        return path
    return name_from(folder, source.resolve(path))


def grown_folder(manifest: Manifest, method: str) -> Path:
    """Default folder for grown labels of a manifest: beside its own, named after it and the method."""
    source = manifest.path.parent
    source = source if source.name not in ("", "..") else absolute(source)
    return source.with_name(f"{source.name}-{method}")


def count_unlabelled(manifest: Manifest) -> int:
    """Number of annotated images without a label, on which no label grows.

    Raises:
        ManifestError: If no row is annotated, or no annotation has a label.
    """
    labels = [row.num_labelled for row in manifest.rows if row.annotation]
    if not any(labels):
        what = "no annotation has a label" if labels else "no row is annotated"
        raise ManifestError(f"{manifest.path}: {what}, so there is nothing to grow.")
    return labels.count(0)
