"""A self-contained HTML page for browsing images, with layers, filters, and a slider between two series.

The page loads nothing: it contains images (WebP), style and script, and its content security policy forbids any
connection. Text from files (names, ids, messages) is escaped.
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
    """A layer of each image; layers are stacked in the given order.

    Args:
        name: Label of its checkbox.
        veil: Whether the opacity slider affects it.
        shown: Whether it is visible when the page opens.
    """

    name: str
    veil: bool = False
    shown: bool = True


@dataclass(frozen=True)
class ImageSeries:
    """An image in one series (a manifest, a run).

    Args:
        layers: Data URIs of the layers that differ between series, by name.
        classes: Train ids to filter by.
        numbers: Values for filtering and sorting, by name; shown as "50 marks".
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
        width: Width of the full image in pixels, which determines the shape of the frame.
        height: Height of the full image in pixels.
        series: The image in each series of the viewer.
        shared: Data URIs of the layers that all series share, by name.
        note: Text in place of missing layers.
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
    """Contents of the viewer.

    Args:
        series: Names of the series, at least one.
        layers: All layers, from bottom to top.
        images: The images in their initial order.
        label_space: The classes.
        scores: Names of the numbers that are scores rather than counts. Higher is better, and images can be sorted by
            the difference between two series.
    """

    series: tuple[str, ...]
    layers: tuple[Layer, ...]
    images: tuple[ViewerImage, ...]
    label_space: LabelSpace
    scores: tuple[str, ...] = ()


def build_viewer_page(
    viewer: Viewer, *, title: str, subtitle: str = "", template: Path | None = None, **context: Any
) -> str:
    """Build the page.

    Args:
        viewer: Contents of the viewer.
        title: Heading of the page.
        subtitle: A line below the heading.
        template: A Jinja2 template that extends ``page.html`` and fills its block ``summary``, shown above the
            images. It can include files beside it; the macros of ``macros.html`` draw class names and bars.
        context: Variables of that template.

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
    """Check early whether pages can be built.

    Raises:
        DataError: If Jinja2 is not installed.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise DataError("HTML pages need Jinja2: pip install 'sparsekit-agmm[figures]'.") from error


def image_uri(pixels: NDArray[np.uint8], *, lossless: bool = False) -> str:
    """Encode an image as a WebP data URI.

    Args:
        pixels: RGB or RGBA, uint8, shape (H, W, 3) or (H, W, 4).
        lossless: Keep every pixel; also smaller for label maps and marks.
    """
    buffer = io.BytesIO()
    quality = 60 if lossless else 80  # for lossless files, the effort instead of the quality
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=lossless, quality=quality, method=4, exact=False)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _to_json(viewer: Viewer) -> dict[str, Any]:
    classes = [{"name": c.name, "color": c.color} for c in viewer.label_space.classes]
    data = asdict(viewer)
    del data["label_space"]
    return data | {"classes": classes}


__all__ = ["Image", "ImageSeries", "Layer", "Viewer", "build_viewer_page", "check_jinja", "image_uri"]
