"""Annotate an array, without files."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelClass, LabelMap, LabelSpace, Mark
from sparsekit.clicks.settings import ClickSettings
from sparsekit.geometry.rasterize import rasterize
from sparsekit.randomness import ImageStream
from sparsekit.scribbles.settings import ScribbleSettings
from sparsekit.synthesis.annotators import ClickAnnotator, ScribbleAnnotator, Subject

_MOST_CLASSES = 65535
_S = TypeVar("_S", ClickSettings, ScribbleSettings)


class Annotation(NamedTuple):
    """Sparse labels of an image.

    Args:
        labels: Sparse label map, shape (H, W), in the type of the mask; void where nothing is labelled.
        marks: The clicks or strokes.
    """

    labels: NDArray[np.integer]
    marks: list[Mark]


def annotate(
    mask: NDArray[np.integer],
    *,
    clicks: int | None = None,
    scribbles: float | None = None,
    settings: ClickSettings | ScribbleSettings | None = None,
    seed: int = 0,
    image_id: str = "",
    instances: NDArray[np.integer] | None = None,
    void: int = 255,
) -> Annotation:
    """Draw clicks or scribbles on a full mask.

    Equal arguments give equal annotations: those that ``sparsekit points`` and ``sparsekit scribbles`` draw for an
    image of this id, with this seed and these settings.

    Args:
        mask: Train ids 0, 1, 2, ... of any integer type, shape (H, W), ``void`` at void pixels; it is not modified.
        clicks: Number of clicks on the image, or on each class or instance if ``settings`` says so.
        scribbles: Share of a stroke's full length that is drawn, 0.01, 0.02, ... or 1; give this or ``clicks``.
        settings: How clicks or scribbles are drawn.
        seed: An integer of at least 0.
        image_id: Keys the random stream, so that images of one dataset get different clicks.
        instances: Instance map, shape (H, W), for settings that need instances: uint16 as ``gtFine_instanceIds`` has
            it, or uint8 as PASCAL VOC; see ``true_instances``.
        void: The value of void and unlabelled pixels.

    Raises:
        ValueError: If ``mask`` or ``instances`` has another shape, type or value range, both or none of ``clicks`` and
            ``scribbles`` are given, or a number or setting is out of range.

    Example:
        >>> import numpy as np
        >>> mask = np.zeros((60, 80), np.uint8)
        >>> mask[20:, :40] = 1
        >>> labels, marks = annotate(mask, clicks=3, seed=0)
        >>> labels.shape, [mark.class_id for mark in marks], int((labels != 255).sum())
        ((60, 80), [0, 0, 0], 3)
        >>> annotate(mask, scribbles=0.8).marks[0].kind
        'stroke'
    """
    if (clicks is None) == (scribbles is None):
        raise ValueError(f"Give either clicks or scribbles, got clicks={clicks} and scribbles={scribbles}.")
    annotator: ClickAnnotator | ScribbleAnnotator
    if clicks is not None:
        annotator = ClickAnnotator((clicks,), _settings(settings, ClickSettings))
    else:
        annotator = ScribbleAnnotator((scribbles,), _settings(settings, ScribbleSettings))  # type: ignore[arg-type]
    mask = np.asarray(mask)
    label_map, space = _train_ids(mask, void)
    instance_map = None if instances is None else _instance_map(np.asarray(instances), mask.shape)
    rng = ImageStream(seed, image_id, annotator.command)
    subject = Subject(image_id, label_map, rng, space, instance_map)
    (marks,) = annotator.annotate(subject)
    sparse = rasterize(marks, (mask.shape[0], mask.shape[1]), space)
    labels = np.full(mask.shape, void, mask.dtype)
    labelled = sparse != space.unlabelled_value
    labels[labelled] = sparse[labelled]
    return Annotation(labels, marks)


def _settings(given: object, kind: type[_S]) -> _S:
    if given is not None and not isinstance(given, kind):
        raise ValueError(f"settings must be {kind.__name__}, such as {kind.__name__}(), got {given!r}.")
    return kind() if given is None else given


def _instance_map(instances: NDArray[np.integer], shape: tuple[int, ...]) -> LabelMap:
    """The instance map in the byte order of this machine; its type tells what the values mean."""
    if instances.shape != shape:
        raise ValueError(f"instances must have the shape of the mask, {shape}, got {instances.shape}.")
    if instances.dtype.kind != "u" or instances.dtype.itemsize > 2:
        raise ValueError(
            f"instances must be uint16, as in Cityscapes, or uint8, as in PASCAL VOC, got {instances.dtype}. Convert "
            "them: instances.astype(np.uint16) for values of class * 1000 + number."
        )
    return instances.astype(np.uint8) if instances.dtype.itemsize == 1 else instances.astype(np.uint16)


def _train_ids(mask: NDArray[np.integer], void: int) -> tuple[LabelMap, LabelSpace]:
    """The mask as a label map of as many classes as it needs, and these classes."""
    if mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer) or not mask.size:
        raise ValueError(f"mask must hold integers, shape (H, W), got {mask.dtype} of shape {mask.shape}.")
    if not np.iinfo(mask.dtype).min <= void <= np.iinfo(mask.dtype).max:
        raise ValueError(f"void is {void}, which {mask.dtype} cannot hold; convert the mask, or give another value.")
    known = mask != void
    lowest, highest = (int(mask[known].min()), int(mask[known].max())) if known.any() else (0, 0)
    if lowest < 0 or highest >= _MOST_CLASSES:
        wrong = lowest if lowest < 0 else highest
        raise ValueError(f"mask holds {wrong}; train ids are 0..{_MOST_CLASSES - 1}, and void is {void}.")
    space = LabelSpace("array", tuple(LabelClass(str(i), (0, 0, 0), (i,)) for i in range(highest + 1)))
    label_map: LabelMap = mask.astype(space.dtype)
    label_map[~known] = space.unlabelled_value
    return label_map, space
