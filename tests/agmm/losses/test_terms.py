from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agmm.config.loss import MixtureOptions
from agmm.data.dataset import Sample
from agmm.losses.agmm import AGMMLoss, sparse_supervision_loss
from agmm.losses.combined import TERM_LOSSES, CombinedLoss
from agmm.losses.labelled_pixels import find_labelled
from agmm.losses.mean_teacher import MeanTeacherLoss
from agmm.losses.mixture import fit_mixture
from agmm.losses.term import TermLoss
from agmm.models.network import SegmentationOutput
from tests.helpers.literal_terms import (
    literal_absence,
    literal_entropy,
    literal_gated_crf,
    literal_mean_teacher,
    literal_mixture_labels,
    literal_presence,
    literal_tree_energy,
)

NUM_CLASSES, SIZE, FEATURE_SIZE = 5, (12, 16), (6, 8)


class Teacher(nn.Module):
    """A network that says the same of every image."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor) -> SegmentationOutput:
        return SegmentationOutput(self.logits[: len(images)], images)


def make_batch(seed: int = 0, num_labels: int = 6, padded: int = 4) -> tuple[SegmentationOutput, Sample, Tensor]:
    """Output, batch and a teacher's logits for three images; no labels in the last, padding in the first."""
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, NUM_CLASSES, *SIZE, generator=rng, dtype=torch.float64).mul(2).requires_grad_()
    features = torch.randn(3, 7, *FEATURE_SIZE, generator=rng, dtype=torch.float64).relu().requires_grad_()
    target = torch.full((3, *SIZE), 255, dtype=torch.uint8)
    for n in range(2):
        for _ in range(num_labels):
            row, col = (int(torch.randint(length, (), generator=rng)) for length in SIZE)
            target[n, row, col] = int(torch.randint(n, n + 3, (), generator=rng))
    valid = torch.ones((3, *SIZE), dtype=torch.bool)
    valid[0, SIZE[0] - padded :] = False
    image_classes = torch.zeros((3, NUM_CLASSES), dtype=torch.bool)
    image_classes[0, 4] = num_labels > 0
    images = torch.rand((3, 3, *SIZE), generator=rng).round(decimals=1)
    none = torch.zeros((3, 0, *SIZE), dtype=torch.uint8)
    teacher = torch.randn(3, NUM_CLASSES, *SIZE, generator=rng, dtype=torch.float64).mul(2)
    presence = torch.randn(3, NUM_CLASSES, generator=rng, dtype=torch.float64).requires_grad_()
    return (
        SegmentationOutput(logits, features, presence),
        Sample(images, target, valid, image_classes, none, none),
        teacher,
    )


def present_classes(batch: Sample) -> Tensor:
    present = batch.image_classes.clone()
    for n in range(len(present)):
        present[n, batch.target[n][batch.valid[n] & (batch.target[n] != 255)].long()] = True
    return present


def literal_term(name: str, loss: TermLoss, out: SegmentationOutput, batch: Sample, teacher: Tensor) -> Tensor:
    """The term of a loss, computed slowly."""
    options = vars(loss.options)
    logits, valid, present = out.logits, batch.valid, present_classes(batch)
    if name == "absence":
        return literal_absence(logits, valid, present)
    if name == "presence":
        assert out.presence is not None
        return literal_presence(out.presence, batch.target, valid, present)
    if name == "agmm":
        loss_options = {key: value for key, value in options.items() if key != "weight"}
        terms = AGMMLoss(**loss_options)(out.features, logits, batch.target, valid)[1]
        return terms["self"] + terms["spar"] + terms["con"]
    if name == "entropy":
        return literal_entropy(logits, valid)
    if name == "gated_crf":
        kernel = {key: options[key] for key in ("radius", "sigma_rgb", "sigma_xy", "shrink")}
        return literal_gated_crf(logits, batch.image.double(), valid, **kernel)
    if name == "tree_energy":
        image = batch.image.double()
        return literal_tree_energy(logits, out.features, image, batch.target, valid, sigma=options["sigma"])
    if name == "mean_teacher":
        allowed = present if options["classes"] == "image" else torch.ones_like(present)
        chosen = {key: options[key] for key in ("threshold", "soft")}
        return literal_mean_teacher(logits, teacher, valid, allowed, **chosen)
    labelled = find_labelled(batch.target, valid, num_classes=NUM_CLASSES)
    mixture = fit_mixture(out.features, logits, valid, labelled, MixtureOptions())
    density = mixture.density.new_zeros((3, NUM_CLASSES, *FEATURE_SIZE))
    density[labelled.pair_image, labelled.pair_class] = mixture.density.detach()
    spar: Tensor = options["spar"] * sparse_supervision_loss(mixture)
    return literal_mixture_labels(logits, density, valid, threshold=options["threshold"]) + spar


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("absence", {}),
    ("presence", {}),
    ("agmm", {}),
    ("agmm", {"use_con": False, "stop_gradient": True, "self_target": "responsibility"}),
    ("entropy", {}),
    ("gated_crf", {}),
    ("gated_crf", {"shrink": 1, "radius": 2, "sigma_rgb": 0.3, "sigma_xy": 2.0}),
    ("gated_crf", {"shrink": 5, "radius": 9}),
    ("tree_energy", {}),
    ("tree_energy", {"sigma": 0.3}),
    ("mean_teacher", {}),
    ("mean_teacher", {"threshold": 0.0, "soft": True}),
    ("mean_teacher", {"classes": "all", "threshold": 0.3}),
    ("mixture_labels", {}),
    ("mixture_labels", {"threshold": 0.6, "spar": 0.0}),
]


def build(name: str, teacher: Tensor, **options: Any) -> TermLoss:
    loss = TERM_LOSSES[name](**options)
    if loss.uses_teacher:
        loss.attach_teacher(Teacher(teacher))
    return loss


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_equals_the_literal_formula(name: str, options: dict[str, Any], seed: int) -> None:
    out, batch, teacher = make_batch(seed)
    loss = build(name, teacher, **options)
    total, terms = loss(out, batch)
    found = torch.autograd.grad(terms[name], out, allow_unused=True, retain_graph=True)
    expected = literal_term(name, loss, out, batch, teacher)
    wanted = torch.autograd.grad(expected, out, allow_unused=True)
    assert tuple(terms) == loss.term_names == ("seg", name)
    torch.testing.assert_close(terms[name], expected)
    for leaf, one, other in zip(out, found, wanted, strict=True):
        zero = torch.zeros_like(leaf)
        torch.testing.assert_close(zero if one is None else one, zero if other is None else other)
    torch.testing.assert_close(total, terms["seg"] + loss.options.weight * terms[name])
    labelled = (batch.target != 255) & batch.valid
    seg = F.cross_entropy(out.logits.permute(0, 2, 3, 1)[labelled], batch.target[labelled].long())
    torch.testing.assert_close(terms["seg"], seg)


@pytest.mark.parametrize("name", ["absence", "agmm", "entropy", "gated_crf", "mean_teacher", "mixture_labels"])
def test_gradient_of_the_logits_is_that_of_the_value(name: str) -> None:
    out, batch, teacher = make_batch()
    loss = build(name, teacher)

    def value(logits: Tensor) -> Tensor:
        term: Tensor = loss(out._replace(logits=logits), batch)[1][name]
        return term

    if name in ("agmm", "mixture_labels"):  # its Gaussians' variances read the logits, without gradient
        loss = build(
            name, teacher, **({"spar": 0.0} if name == "mixture_labels" else {"stop_gradient": True, "use_spar": False})
        )
    assert torch.autograd.gradcheck(value, (out.logits.detach().requires_grad_(),), fast_mode=True)


BATCHES: dict[str, Callable[[], tuple[SegmentationOutput, Sample, Tensor]]] = {
    "no labels": lambda: make_batch(num_labels=0),
    "one label an image": lambda: make_batch(num_labels=1),
    "nothing but padding": lambda: _only_padding(),
    "one image": lambda: _one_image(),
}


def _only_padding() -> tuple[SegmentationOutput, Sample, Tensor]:
    out, batch, teacher = make_batch()
    return out, batch._replace(valid=torch.zeros_like(batch.valid)), teacher


def _one_image() -> tuple[SegmentationOutput, Sample, Tensor]:
    out, batch, teacher = make_batch()
    return SegmentationOutput(*(part[:1] for part in out)), Sample(*(part[:1] for part in batch)), teacher


@pytest.mark.parametrize("name", list(TERM_LOSSES))
@pytest.mark.parametrize("case", list(BATCHES))
def test_odd_batches_give_finite_values_and_gradients(name: str, case: str) -> None:
    out, batch, teacher = BATCHES[case]()
    total, terms = build(name, teacher)(out, batch)
    grads = torch.autograd.grad(total, out, allow_unused=True)
    assert all(torch.isfinite(value) for value in (total, *terms.values()))
    assert all(torch.isfinite(grad).all() for grad in grads if grad is not None)
    if case == "nothing but padding":
        assert total == 0


@pytest.mark.parametrize("name", list(TERM_LOSSES))
def test_low_precision_is_computed_in_float32(name: str) -> None:
    out, batch, teacher = make_batch()
    low = SegmentationOutput(*(part.bfloat16().detach().requires_grad_() for part in out))
    with torch.autocast("cpu", torch.bfloat16):
        total = build(name, teacher)(low, batch)[0]
    full = SegmentationOutput(*(part.detach().float() for part in low))
    assert total.dtype == torch.float32
    torch.testing.assert_close(total, build(name, teacher)(full, batch)[0])
    (grad,) = torch.autograd.grad(total, low.logits)
    assert torch.isfinite(grad).all()


def test_absence_and_limits_see_the_classes_of_the_whole_image() -> None:
    out, batch, teacher = make_batch()
    without = batch._replace(image_classes=torch.zeros_like(batch.image_classes))
    for name in ("absence", "mean_teacher"):
        loss = build(name, teacher)
        assert loss(out, batch)[1][name] != loss(out, without)[1][name]


def test_teacher_is_no_part_of_the_loss() -> None:
    loss = MeanTeacherLoss()
    loss.attach_teacher(nn.Linear(2, 3))
    assert list(loss.parameters()) == []


def test_teacher_is_asked_from_its_start_on() -> None:
    out, batch, teacher = make_batch()
    loss = MeanTeacherLoss(start=0.5, strong=0.5)
    loss.set_progress(0.49)  # no network is attached yet, and none is needed
    assert loss(out, batch)[1]["mean_teacher"] == 0
    assert loss.student_view(batch.image) is batch.image
    loss.set_progress(0.5)
    loss.attach_teacher(Teacher(teacher))
    assert loss(out, batch)[1]["mean_teacher"] > 0


def test_strong_view_changes_colours_within_range_and_only_where_asked() -> None:
    images = torch.rand(2, 3, 5, 6)
    assert MeanTeacherLoss().student_view(images) is images
    torch.manual_seed(0)
    changed = MeanTeacherLoss(strong=0.5).student_view(images)
    assert changed.shape == images.shape and not torch.equal(changed, images)
    assert changed.min() >= 0 and changed.max() <= 1


def test_combined_adds_up_its_terms() -> None:
    out, batch, teacher = make_batch()
    loss = CombinedLoss(absence=0.5, mean_teacher={"weight": 2.0, "threshold": 0.3}, gated_crf={"radius": 2})
    loss.attach_teacher(Teacher(teacher))
    total, terms = loss(out, batch)
    assert tuple(terms) == loss.term_names == ("seg", "absence", "mean_teacher", "gated_crf")
    expected = terms["seg"] + 0.5 * terms["absence"] + 2 * terms["mean_teacher"] + 0.1 * terms["gated_crf"]
    torch.testing.assert_close(total, expected)
    alone = build("mean_teacher", teacher, threshold=0.3)(out, batch)[1]["mean_teacher"]
    torch.testing.assert_close(terms["mean_teacher"], alone)
    loss.set_progress(0.1)
    assert loss(out, batch)[0] < total


def test_combined_asks_for_a_teacher_only_where_a_term_needs_one() -> None:
    assert not CombinedLoss(absence=1.0).uses_teacher
    assert CombinedLoss(absence=1.0, mean_teacher=1.0).uses_teacher


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"gated_crf": {"radios": 3}}, "radius"),
        ({"gated_crff": 0.1}, "gated_crf"),
        ({"gated_crf": {"radius": 0}}, "radius"),
        ({"gated_crf": {"radius": 2.5}}, "radius"),
        ({"absence": -1.0}, "weight"),
        ({"absence": float("nan")}, "weight"),
        ({"absence": "much"}, "absence.weight"),
        ({"mean_teacher": {"threshold": 1.5}}, "threshold"),
        ({"mean_teacher": {"classes": "some"}}, "image, all"),
        ({}, "absence"),
    ],
)
def test_wrong_options_are_refused_with_what_fits(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        CombinedLoss(**options)
