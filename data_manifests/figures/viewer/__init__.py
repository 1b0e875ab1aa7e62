"""A self-contained HTML page to look at images: layers to switch, filters, and a slider between two series.

The page loads nothing: images travel in it as WebP, style and script are part of it, and its content security policy
forbids any connection. Whatever comes from files (names, ids, messages) is escaped.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_manifests.errors import DataError
from data_manifests.label_space import LabelSpace

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Layer:
    """One thing that can be shown of each image; layers lie over each other in the order given.

    Args:
        name: Shown beside its switch.
        veil: The opacity slider acts on it.
        shown: Switched on when the page opens.
    """

    name: str
    veil: bool = False
    shown: bool = True


@dataclass(frozen=True)
class ImageSeries:
    """An image in one series (a manifest, a run).

    Args:
        layers: Data URI of each layer that differs between series, by the layer's name.
        classes: Train ids to filter by.
        numbers: Values to filter and sort by, by name; shown as "50 marks".
    """

    layers: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[int, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ViewerImage:
    """One image of the page.

    Args:
        name: Its image id.
        split: Its split.
        width: Of the full image, in pixels; gives the shape of the frame.
        height: Likewise.
        series: The image in each series of the viewer.
        shared: Data URI of each layer that is the same in all series, by the layer's name.
        note: Shown in place of what is missing.
    """

    name: str
    split: str
    width: int
    height: int
    series: tuple[ImageSeries, ...]
    shared: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Viewer:
    """What the viewer shows.

    Args:
        series: Names of what can be compared, at least one.
        layers: All layers, from the lowest to the highest.
        images: The images in their first order.
        label_space: Names the classes.
        scores: Names of those numbers that are scores and no counts: the highest is best, and where two series are
            compared, images can be ordered by how far one is ahead.
    """

    series: tuple[str, ...]
    layers: tuple[Layer, ...]
    images: tuple[ViewerImage, ...]
    label_space: LabelSpace
    scores: tuple[str, ...] = ()


def build_viewer_page(
    viewer: Viewer, *, title: str, subtitle: str = "", template: Path | None = None, **context: Any
) -> str:
    """Make the page.

    Args:
        viewer: The images.
        title: Heading of the page.
        subtitle: A line below it.
        template: A Jinja2 template that extends ``page.html`` and fills its block ``summary``, shown above the
            images; files beside it can be included. The macros of ``macros.html`` draw class names and bars.
        context: Values for that template.

    Returns:
        The HTML text.

    Raises:
        DataError: If Jinja2 is not installed.
    """
    check_jinja()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folders = [_HERE] if template is None else [template.parent, _HERE]
    environment = Environment(loader=FileSystemLoader(folders), autoescape=True, undefined=StrictUndefined)
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}  # layers and numbers keep their order
    return environment.get_template(template.name if template else "page.html").render(
        title=title,
        subtitle=subtitle,
        css=Markup((_HERE / "viewer.css").read_text(encoding="utf-8")),
        js=Markup((_HERE / "viewer.js").read_text(encoding="utf-8")),
        viewer=_to_json(viewer),
        **context,
    )


def check_jinja() -> None:
    """Find out early whether pages can be made.

    Raises:
        DataError: If Jinja2 is not installed.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise DataError("HTML pages need Jinja2: pip install 'sparsekit[figures]'.") from error


def image_uri(pixels: NDArray[np.uint8], *, lossless: bool = False) -> str:
    """An image as a data URI of WebP, to be put into a page.

    Args:
        pixels: RGB or RGBA, uint8, shape (H, W, 3) or (H, W, 4).
        lossless: Keep every pixel: smaller, too, for label maps and marks.
    """
    buffer = io.BytesIO()
    quality = 60 if lossless else 80  # of lossless files it is the effort, not the quality
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=lossless, quality=quality, method=4, exact=False)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _to_json(viewer: Viewer) -> dict[str, Any]:
    classes = [{"name": c.name, "color": c.color} for c in viewer.label_space.classes]
    data = asdict(viewer)
    del data["label_space"]
    return data | {"classes": classes}


__all__ = ["Image", "ImageSeries", "Layer", "Viewer", "build_viewer_page", "check_jinja", "image_uri"]
