"""Addresses of images on a server of Label Studio: uploads, local files and cloud storage."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from data_manifests.files.images import IMAGE_SUFFIXES
from sparsekit.formats.shared.files import RefusedError

#: Prefix that the server adds to the names of uploaded files.
_UPLOAD = re.compile("^([0-9]+-)?[0-9a-f]{8}-")


def image_address(data: dict[str, Any], key: str | None) -> str:
    """The address that a task gives for its image.

    Args:
        data: The data of the task.
        key: Key of the image; detected if None.

    Raises:
        RefusedError: If there is no such key, or it does not hold the address of one image.
    """
    if key is None:
        texts = {name: value for name, value in data.items() if isinstance(value, str)}
        images = [name for name, value in texts.items() if urlsplit(value).path.lower().endswith(IMAGE_SUFFIXES)]
        images = images or [name for name, value in texts.items() if "/" in value]
        if "image" not in data and len(images) != 1:
            raise RefusedError(f"cannot tell which of {', '.join(map(repr, data))} is the image; give --image-key")
        key = "image" if "image" in data else images[0]
    elif key not in data:
        raise RefusedError(f"a task has no {key!r}; it has {', '.join(map(repr, data))}")
    address = data[key]
    if not isinstance(address, str) or address.startswith("data:"):
        raise RefusedError(
            f"{key!r} of a task must be the address of one image, got {address!s:.40}... If another key of the data "
            "names the image, give --image-key."
        )
    return address


def file_names(address: str) -> list[str]:
    """Return possible file names of an address, most likely first: decoded by the server, and as written."""
    if in_cloud := parse_qs(urlsplit(address).query).get("fileuri"):
        address = _decoded(in_cloud[0])
    parts = urlsplit(address)
    query = parse_qs(parts.query)
    local = query.get("d") or query.get("filepath")
    written = address.partition("?d=")[2] or (parts.path if parts.scheme else address)
    names = [local[0] if local else unquote(parts.path), unquote(written), written]
    return [name for full in names for name in (full, without_upload_prefix(full))]


def _decoded(uri: str) -> str:
    """An address in Base64; itself if it is not."""
    try:
        return base64.b64decode(uri + "=" * (-len(uri) % 4), b"-_", validate=True).decode()
    except ValueError:
        return uri


def without_upload_prefix(path: str) -> str:
    """A path without the prefix that Label Studio adds to the name of an uploaded file.

    Example:
        >>> without_upload_prefix("upload/1/0a1b2c3d-a.png")
        'upload/1/a.png'
    """
    folder, slash, name = path.replace("\\", "/").rpartition("/")
    return folder + slash + _UPLOAD.sub("", name)
