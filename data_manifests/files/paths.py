"""Paths as users write them, local or fsspec URLs of object stores, behind one interface.

A URL becomes a ``UPath``. It has the methods of ``pathlib.Path`` that this project uses, so code that opens, reads and
writes files need not know which it has. This module holds what differs between a disk and an object store.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from data_manifests.errors import DataError

_SCHEME = re.compile("([A-Za-z][A-Za-z0-9+.-]+)://")  # two letters at least: C: is a drive

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DEVICE = re.compile("(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]) *(\\..*)?", re.IGNORECASE)


def as_path(text: str | Path) -> Path:
    """Parse a path given by a user or read from a manifest.

    Args:
        text: A path, a ``file://`` URL, or a URL such as ``s3://bucket/cityscapes``; path objects pass unchanged.

    Returns:
        A ``Path``, or a ``UPath`` for URLs other than ``file://``; it has the same methods without being a ``Path``.

    Raises:
        DataError: If the URL scheme is unknown, or its package is not installed.
        ValueError: If it is neither a string nor a path.

    Example:
        >>> as_path("memory://data/cityscapes").name
        'cityscapes'
    """
    if not isinstance(text, str):
        if not hasattr(text, "read_bytes"):
            raise ValueError(f"Expected a path as text or as pathlib.Path, got {text!r}.")
        return text
    if not (match := _SCHEME.match(text)):
        return Path(text)
    if (scheme := match[1].lower()) == "file":
        from urllib.request import url2pathname  # slow to import, with all of HTTP

        return Path(url2pathname(text[match.end() :]))
    # Imported late: takes a third of a second, and local paths do not need it.
    from fsspec import get_filesystem_class
    from upath import UPath

    try:
        get_filesystem_class(scheme)
    except ValueError as error:
        raise DataError(
            f"{text}: unknown kind of address '{scheme}://'. Give a path, or a URL such as s3://bucket/folder."
        ) from error
    except ImportError as error:
        advice = "pip install 'sparsekit-agmm[s3]'" if scheme in ("s3", "s3a") else str(error)
        raise DataError(f"{text}: {scheme}:// needs a package that is not installed: {advice}") from error
    # Listings are not cached, so that files written by other machines are seen.
    return cast(Path, UPath(text, use_listings_cache=False))


def is_remote(path: Path) -> bool:
    """Whether a path from ``as_path`` is on an object store."""
    return not isinstance(path, Path)


@contextmanager
def reaching(path: Path) -> Iterator[None]:
    """Turn a storage package's errors (no credentials, no network, no such bucket) into a ``DataError``.

    Raises:
        DataError: Instead of that package's own error.
    """
    try:
        yield
    except Exception as error:  # each package raises its own
        if isinstance(error, DataError) or not is_remote(path):
            raise
        raise DataError(
            f"{path}: cannot be reached ({error}). Check the address, the network and your credentials."
        ) from error


def absolute(path: Path) -> Path:
    """The absolute path without ``.`` and ``..``; links are not resolved."""
    if not is_remote(path):
        return Path(os.path.abspath(path))
    scheme, _, key = str(path).partition("://")
    return as_path(f"{scheme}://{posixpath.normpath(key)}")


@lru_cache(maxsize=65536)
def name_fault(name: str) -> str:
    """Why a name cannot be a file below a folder, the same on every system; empty if it can.

    Args:
        name: Parts with ``/`` between them, such as ``munich/frame_1``.

    Example:
        >>> name_fault("munich/frame_1"), name_fault("../frame_1")
        ('', "has the part '..'")
    """
    if _CONTROL.search(name):
        return "holds control characters or is not UTF-8"
    if "\\" in name:
        return "holds a backslash; write / between folders"
    if name[1:2] == ":" and name[0].isascii() and name[0].isalpha():
        return "begins with a drive"
    if name.startswith("/"):
        return "begins with /"
    for part in name.split("/"):
        if not part:
            return "is empty or has an empty part"
        if not part.strip(". "):
            return f"has the part '{part}'"
        if _DEVICE.fullmatch(part):
            return f"has the part '{part}', the name of a device on Windows"
    return ""


def inside(folder: Path, name: str) -> Path:
    """Path of a file to write below a folder; every writer whose file names come from data uses this.

    Args:
        folder: Need not exist yet; may be a link.
        name: Path below it. Existing links in its folders are followed; a link in place of the file itself is
            replaced by writing.

    Raises:
        DataError: If the file would lie outside the folder.
    """
    path = folder / name
    if is_remote(folder):
        stays = str(absolute(path)).startswith(f"{absolute(folder)}/")
    else:
        parent = Path(os.path.realpath(path.parent))
        stays = path.name not in ("", os.pardir) and parent.is_relative_to(os.path.realpath(folder))
    if not stays or "\0" in name:
        raise DataError(f"{name!r} lies outside the output folder {folder}; refusing to write there.")
    return path


def named_by(folder: Path, text: str) -> Path:
    """Resolve a file name in a manifest in ``folder``: a relative path, an absolute path, or a URL."""
    if "://" in text:
        return as_path(text)
    if is_remote(folder) and not Path(text).is_absolute():
        return absolute(folder / text)  # object stores treat .. as a name
    if is_remote(folder):
        return Path(text)
    path = folder / text
    if "\\" in text and os.sep != "\\" and not path.exists():  # edited on Windows
        return folder / text.replace("\\", "/")
    return path


def name_from(folder: Path, path: Path) -> str:
    """File name as written in a manifest in ``folder``: relative if both are local or in one bucket, else in full.

    Raises:
        DataError: If the name is not UTF-8.
    """
    if is_remote(folder) or is_remote(path):
        here, there = absolute(folder), absolute(path)
        if str(here).split("/")[:3] != str(there).split("/")[:3]:
            return name_in_full(there)
        return posixpath.relpath(str(there), str(here))
    try:
        return in_utf8(_relative(_without_dots(path), Path(os.path.abspath(folder))).replace(os.sep, "/"))
    except ValueError:  # another drive on Windows
        return name_in_full(path)


def _relative(path: Path, folder: Path) -> str:
    """Relative path as the system resolves it: the parent of a linked folder is that of its target."""
    relative = os.path.relpath(path, folder)
    above = folder.joinpath(*(part for part in Path(relative).parts if part == os.pardir))
    if os.path.realpath(above) == os.path.realpath(os.path.normpath(above)):
        return relative
    return os.path.relpath(path, os.path.realpath(folder))


def _without_dots(path: Path) -> Path:
    """The absolute path without ``..``; links before the last ``..`` are resolved, as the system does."""
    dots = max((i for i, part in enumerate(path.parts, start=1) if part == os.pardir), default=0)
    if not dots:
        return Path(os.path.abspath(path))
    return Path(os.path.realpath(Path(*path.parts[:dots]))).joinpath(*path.parts[dots:])


def in_utf8(name: str) -> str:
    """Return a name unchanged if a UTF-8 manifest can hold it.

    Raises:
        DataError: If it cannot.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{name!a}: the path is not UTF-8, as manifests require; rename the folder or file.") from error
    return name


def name_in_full(path: Path) -> str:
    """Absolute path or URL of a file, valid in any manifest."""
    return str(path) if is_remote(path) else in_utf8(absolute(path).as_posix())


def without_links(path: Path) -> Path:
    """The absolute path with links followed; a link in a circle stays, where ``Path.resolve`` raises."""
    return path.resolve() if is_remote(path) else Path(os.path.realpath(path))


def is_endless(path: Path) -> bool:
    """Whether a path is a pipe, on which a reader may block forever, or a device, which may never end."""
    return not is_remote(path) and path.exists() and not (path.is_file() or path.is_dir())


def open_start(path: Path) -> BinaryIO:
    """Open a file to read its first bytes; object stores send 64 kB at a time instead of the whole file."""
    if not is_remote(path):
        return path.open("rb")
    store, key = _store(path)
    file: BinaryIO = store.open(key, "rb", block_size=1 << 16)
    return file


def files_below(folder: Path) -> list[Path]:
    """Files of a remote folder at any depth, except hidden ones and hidden folders; none if it does not exist."""
    store, root = _store(folder)
    names = (name.removeprefix(root).lstrip("/") for name in store.find(root))  # one request per thousand
    return [folder / name for name in names if "/." not in f"/{name}"]


def folders_with(name: str, folder: Path) -> list[str]:
    """Names of the folders in a folder that hold a file of this name, sorted, without hidden ones."""
    with reaching(folder):
        return sorted(path.parent.name for path in folder.glob(f"[!.]*/{name}")) if folder.is_dir() else []


def remove_tree(folder: Path) -> None:
    """Remove a folder and its contents; a link or what is no folder is removed itself."""
    if is_remote(folder):
        store, root = _store(folder)
        store.rm(root, recursive=True)
    elif folder.is_symlink() or not folder.is_dir():  # rmtree would wait for the other end of a pipe
        folder.unlink()
    else:
        try:
            shutil.rmtree(folder)
        except OSError as error:
            error.filename = str(folder)  # otherwise a file name without its folder
            raise


def replace_tree(new: Path, folder: Path) -> None:
    """Move a local folder to a place, replacing what is there; if killed at any time, one of the two is intact.

    The replaced folder is hidden before its slow removal; leftovers of killed calls are removed too.
    """
    replaced = folder.with_name(f".{folder.name}.replaced")
    if os.path.lexists(replaced):
        remove_tree(replaced)
    if os.path.lexists(folder):  # also a link that leads nowhere
        folder.rename(replaced)
    new.rename(folder)
    if os.path.lexists(replaced):
        remove_tree(replaced)


def upload(source: Path, target: Path) -> None:
    """Copy a local file to an object store atomically."""
    store, key = _store(target)
    store.put_file(str(source), key)


def _store(path: Path) -> tuple[Any, str]:
    """The fsspec file system of a remote path, and the path's name in it."""
    return path.fs, path.path  # type: ignore[attr-defined]
