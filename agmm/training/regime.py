"""The regime of an annotation: whether it reaches every class of an image, on which losses and pseudo-labels rely."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agmm.config.loss import resolve_options
from agmm.config.terms import TERM_OPTIONS, combined_options, term_options
from agmm.config.training import PseudoClasses, TrainConfig
from data_manifests import Manifest
from data_manifests.errors import list_some

#: Settings of `sparsekit points` by which every class of an image gets clicks.
_EVERY_CLASS = ("clicks_per_class", "clicks_per_instance")

#: Of the recipes that the notices name.
_DOWNLOADED = " (its pretrained encoder is downloaded)"


@dataclass(frozen=True)
class Regime:
    """How the annotations of a split cover the classes of their images.

    Args:
        classes_per_image: Mean number of labelled classes per image.
        num_classes: Number of classes.
        reaches_all: Whether every class of an image is known to be labelled in it.
    """

    classes_per_image: float
    num_classes: int
    reaches_all: bool

    @property
    def few_of_many(self) -> bool:
        """Whether an image holds at most half of the classes, so that knowing which it holds says much."""
        return 0 < self.classes_per_image <= self.num_classes / 2


def regime_of(manifest: Manifest, split: str = "train") -> Regime:
    """The regime of the annotations of a split.

    Args:
        manifest: A manifest; its rows list the labelled classes, its settings how the annotation was made.
        split: Split to count.
    """
    rows = [row for row in manifest.rows if row.split == split and row.classes_labelled]
    mean = sum(len(row.classes_labelled) for row in rows) / max(1, len(rows))
    return Regime(mean, manifest.label_space.num_classes, reaches_all_classes(manifest))


def reaches_all_classes(manifest: Manifest) -> bool:
    """Whether every class of an image is known to be labelled in it: clicks per class or instance, and scribbles.

    Other clicks miss classes, and so do clicks at a smallest distance, and scribbles with a budget of strokes or
    minutes per image. Annotations from other sources may miss some, and are treated as if they did.
    """
    command, settings = manifest.info.command, manifest.info.settings
    while not _marks_every_class(command, settings):
        if "source_command" not in settings:
            return False
        # Grown labels, pseudo-labels and added clicks keep the marks that they were made from.
        source = settings.get("source_settings")
        if not isinstance(source, Mapping):  # as a manifest edited by hand may say
            return False
        command, settings = settings["source_command"], source
    return True


def _marks_every_class(command: str, settings: Mapping[str, Any]) -> bool:
    if command == "points":
        by_class = any(name in settings for name in _EVERY_CLASS)
        return by_class and not settings.get("wrong") and not settings.get("min_distance")
    return command == "scribbles" and settings.get("per") != "image" and "minutes" not in settings


def resolve_loss(manifest: Manifest, config: TrainConfig) -> TrainConfig:
    """Replace the loss ``auto`` by the one that the annotation supports; other losses stay.

    Where an annotation reaches every class of an image, and an image holds at most half of the classes, that is
    ``presence``: it gained 3 to 4 points of mIoU over cross-entropy where images hold 33 to 40 % of the classes, and
    lost about half a point where they hold 60 % or more (docs/study-few-clicks.md). Otherwise, and for full masks, it
    is ``seg``.

    Args:
        manifest: Manifest to train on.
        config: Settings; returned unchanged unless ``loss_kind`` is ``auto``.
    """
    if config.loss_kind != "auto":
        return config
    regime = regime_of(manifest, config.train_split)
    pays = config.supervision == "sparse" and regime.reaches_all and regime.few_of_many
    return replace(config, loss_kind="presence" if pays else "seg")


def regime_notices(manifest: Manifest, config: TrainConfig, *, is_auto: bool = False) -> Iterator[str]:
    """Yield how many classes are labelled per image, whether these are all, which loss terms rely on that, and advice.

    Args:
        manifest: Manifest to train on.
        config: All settings, with the loss that ``auto`` has become.
        is_auto: Whether the loss was ``auto``.
    """
    regime = regime_of(manifest, config.train_split)
    if config.supervision != "sparse" or not regime.classes_per_image:
        return
    share = f"{regime.classes_per_image:.1f} of {regime.num_classes} classes are labelled in an image"
    relying = terms_that_rely_on_all_classes(config)
    if not regime.reaches_all and relying:
        yield (
            f"Warning: {share}, and others may occur in it, but {list_some(relying)} treats every class without a "
            "label as absent. Use clicks per class or instance, or scribbles, or omit this term."
        )
    elif "presence" in relying and not regime.few_of_many:
        yield (
            f"Warning: {share}, all that it holds, but presence pays only where an image holds at most half of the "
            "classes. Try --loss-kind seg."
        )
    elif relying:
        yield f"{share}, all that it holds: {list_some(relying)} on."
    elif regime.reaches_all and regime.few_of_many:
        yield (
            f"{share}, all that it holds. No term of the loss uses that; --loss-kind presence does, and so does "
            f"--recipe few-clicks{_DOWNLOADED}."
        )
    else:
        held = ", all that it holds" if regime.reaches_all else "; others may occur in it"
        alone = " The loss is cross-entropy alone." if _is_cross_entropy(config) else ""
        # The recipe in which auto has become seg is made for other annotations.
        better = is_auto or (config.encoder_weights == "none" and not config.init)
        advice = f" --recipe small-data{_DOWNLOADED} served a few hundred such images best." if better else ""
        yield f"{share}{held}.{alone}{advice}"


def _is_cross_entropy(config: TrainConfig) -> bool:
    if config.loss_kind == "agmm":
        return resolve_options(config.preset, **config.loss).only_cross_entropy
    return config.loss_kind == "seg"


def terms_that_rely_on_all_classes(config: TrainConfig) -> list[str]:
    """Terms of the loss that treat a class without a label in an image as absent from it."""
    if config.loss_kind == "agmm":
        return ["absence"] if resolve_options(config.preset, **config.loss).absence_weight else []
    if config.loss_kind == "combined":
        terms = combined_options(config.loss)
    elif config.loss_kind in TERM_OPTIONS:
        terms = {config.loss_kind: term_options(config.loss_kind, config.loss)}
    else:
        terms = {}
    return [name for name, options in terms.items() if options.weight and options.relies_on_all_classes]


def pseudo_classes_for(manifest: Manifest, wanted: PseudoClasses | None) -> PseudoClasses:
    """Classes of pseudo-labels: as requested, or else the labelled ones if they are known to be all classes."""
    return wanted or ("labelled" if reaches_all_classes(manifest) else "all")


def pseudo_classes_notice(manifest: Manifest, wanted: PseudoClasses | None) -> str:
    """Describe the classes of pseudo-labels, for a message before stages are trained."""
    if reaches_all_classes(manifest):
        return f"Pseudo-labels hold {'every class' if wanted == 'all' else 'the classes labelled in the image alone'}."
    if wanted == "labelled":
        return (
            "Warning: pseudo-labels hold the classes labelled in the image alone, but nothing says that labels reach "
            "all of them: what they miss is taught to be something else. --pseudo-classes all allows every class."
        )
    return "Pseudo-labels may hold any class, because the annotation may miss classes of an image."
