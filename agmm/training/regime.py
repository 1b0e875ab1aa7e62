"""Which classes of an image its annotation reaches, and what that means for losses and pseudo-labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agmm.config.loss import resolve_options
from agmm.config.terms import combined_options, term_options
from agmm.config.training import PseudoClasses, TrainConfig
from data_manifests import Manifest
from data_manifests.errors import list_some

#: Settings of `sparsekit points` by which every class of an image gets clicks.
_EVERY_CLASS = ("clicks_per_class", "clicks_per_instance")


@dataclass(frozen=True)
class Regime:
    """What the annotations of a split say about the classes of their images.

    Args:
        classes_per_image: Classes labelled in an image, on average.
        num_classes: Classes in all.
        reaches_all: Whether every class of an image is known to be labelled in it.
    """

    classes_per_image: float
    num_classes: int
    reaches_all: bool


def regime_of(manifest: Manifest, split: str = "train") -> Regime:
    """The regime of the annotations of a split.

    Args:
        manifest: Its rows say which classes are labelled, and its settings how the annotation was made.
        split: Rows to count.
    """
    rows = [row for row in manifest.rows if row.split == split and row.classes_labelled]
    mean = sum(len(row.classes_labelled) for row in rows) / max(1, len(rows))
    return Regime(mean, manifest.label_space.num_classes, reaches_all_classes(manifest))


def reaches_all_classes(manifest: Manifest) -> bool:
    """Whether every class of an image is known to be labelled in it: clicks per class or instance, and scribbles.

    Other clicks miss classes; annotations from elsewhere may, and are taken as if they did.
    """
    info = manifest.info
    if info.command == "points":
        return any(name in info.settings for name in _EVERY_CLASS) and not info.settings.get("wrong")
    return info.command == "scribbles"


def regime_notices(manifest: Manifest, config: TrainConfig) -> Iterator[str]:
    """How many classes are labelled in an image, whether these are all, and which terms of the loss rely on that."""
    regime = regime_of(manifest, config.train_split)
    if config.supervision != "sparse" or not regime.classes_per_image:
        return
    share = f"{regime.classes_per_image:.1f} of {regime.num_classes} classes are labelled in an image"
    relying = terms_that_rely_on_all_classes(config)
    if not regime.reaches_all and relying:
        yield (
            f"Warning: {share}, and the manifest does not say that it holds no others, but {list_some(relying)} takes "
            "every class without a label as absent. Use clicks per class or instance, or scribbles, or leave it out."
        )
    elif regime.reaches_all:
        yield f"{share}, all that it holds: {list_some(relying) + ' on' if relying else 'no term relies on that'}."
    else:
        yield f"{share}; it may hold others."


def terms_that_rely_on_all_classes(config: TrainConfig) -> list[str]:
    """Terms of the loss that take a class without a label in an image as absent from it."""
    if config.loss_kind == "agmm":
        return ["absence"] if resolve_options(config.preset, **config.loss).absence_weight else []
    if config.loss_kind == "combined":
        terms = combined_options(config.loss)
    else:
        terms = {config.loss_kind: term_options(config.loss_kind, config.loss)} if config.loss_kind != "seg" else {}
    return [
        name
        for name, options in terms.items()
        if options.weight and (name in ("absence", "mixture_labels") or getattr(options, "classes", "") == "image")
    ]


def pseudo_classes_for(manifest: Manifest, wanted: PseudoClasses | None) -> PseudoClasses:
    """Classes that pseudo-labels may hold: as wanted, or else the labelled ones only where they are known to be all."""
    return wanted or ("labelled" if reaches_all_classes(manifest) else "all")


def pseudo_classes_notice(manifest: Manifest, wanted: PseudoClasses | None) -> str:
    """What a user may want to know of the classes of pseudo-labels before stages are trained."""
    if reaches_all_classes(manifest):
        return f"Pseudo-labels hold {'every class' if wanted == 'all' else 'the classes labelled in the image alone'}."
    if wanted == "labelled":
        return (
            "Warning: pseudo-labels hold the classes labelled in the image alone, but nothing says that labels reach "
            "all of them: what they miss is taught to be something else. --pseudo-classes all allows every class."
        )
    return "Pseudo-labels may hold every class, as labels may miss classes of an image."
