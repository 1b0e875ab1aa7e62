"""The AGMM loss written out literally: dense tensors, all classes, all pixels, gradients by autograd.

Slow and large; the oracle for ``agmm.losses.agmm``, and the yardstick of ``benchmarks/losses.py``.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

EPS = 1e-6


def literal_loss(
    features: Tensor,
    logits: Tensor,
    target: Tensor,
    valid: Tensor,
    image_classes: Tensor,
    *,
    distance: str = "l2",
    variance: str = "adaptive",
    fixed_variance: float = 0.5,
    mask_distance: bool = False,
    stop_gradient: bool = False,
    contrastive: str = "mean",
    prototypes: str = "image",
    classes: str = "image",
    self_target: str = "density",
) -> dict[str, Tensor]:
    """All five terms, each switched on."""
    num_images, num_classes, height, width = logits.shape
    size = features.shape[-2:]
    labelled = (target != 255) & valid
    one_hot = F.one_hot(torch.where(labelled, target, num_classes), num_classes + 1)[..., :-1]
    y = one_hot.permute(0, 3, 1, 2).to(features)  # (N, C, H, W)
    counts = y.sum((2, 3))
    present = (counts > 0).to(features)  # (N, C)
    probs = logits.softmax(1)
    real = valid.to(features)

    def upsample(x: Tensor) -> Tensor:
        return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)

    def downsample(x: Tensor) -> Tensor:
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)

    def mean_over_present(x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, H, W); 0 in images without labels."""
        return (x * present[:, :, None, None]).sum(1) / present.sum(1).clamp(min=1)[:, None, None]

    def mean_where(x: Tensor, where: Tensor) -> Tensor:
        return x[where].sum() / where.sum().clamp(min=1)

    # Prototypes and distances.
    dense = upsample(features)
    mu = torch.einsum("ndhw,nchw->ncd", dense, y)
    mu = mu / counts.clamp(min=1)[:, :, None]  # (N, C, D)
    if prototypes == "batch":
        of_batch = torch.einsum("ndhw,nchw->cd", dense, y) / counts.sum(0).clamp(min=1)[:, None]
        if classes == "batch":
            present = present.amax(0, keepdim=True).expand_as(present)
        mu = of_batch * present[:, :, None]
    difference = features[:, None] - mu[:, :, :, None, None]  # (N, C, D, h, w)
    squared = difference.square().sum(2) if distance == "l2" else difference.abs().mean(2).square()
    real_down = downsample(real[:, None])
    if mask_distance:
        squared = squared * real_down.square()

    # Mixture.
    if variance == "adaptive":
        weights = (downsample(probs) * real_down).detach()
        weighted, total_weight = (weights * squared.detach()).sum((2, 3)) * present, weights.sum((2, 3)) * present
        if prototypes == "batch":
            weighted, total_weight = (w.sum(0, keepdim=True).expand_as(w) for w in (weighted, total_weight))
        sigma2 = weighted / (total_weight + EPS)
        density = torch.exp(-squared / (2 * sigma2 + EPS)[:, :, None, None])
    else:
        density = torch.exp(-squared / (2 * fixed_variance))
    g = upsample(density)
    g_self = g
    if self_target == "responsibility":
        among = density * present[:, :, None, None]
        g_self = upsample(among / (among.sum(1, keepdim=True) + EPS))
    g_self = g_self.detach() if stop_gradient else g_self

    # Terms.
    log_p, log_not_p = (probs + EPS).log(), (1 - probs + EPS).log()
    seg = mean_where(
        F.cross_entropy(logits, torch.where(labelled, target, -1), ignore_index=-1, reduction="none"), labelled
    )
    self_ = mean_where(mean_over_present(-(g_self * log_p + (1 - g_self) * log_not_p) / 2), valid)
    spar = mean_where(mean_over_present(-(y * (g + EPS).log() + (1 - y) * (1 - g + EPS).log()) / 2), labelled)
    absence = mean_where(-((1 - image_classes.to(probs))[:, :, None, None] * log_not_p).sum(1), valid)
    centres = {}
    for c in range(num_classes):
        here = [mu[n, c] for n in range(num_images) if present[n, c] > 0]
        if here:
            total = torch.stack(here).sum(0)
            centres[c] = total / len(here) if contrastive == "mean" else total
    con = features.sum() * 0
    pairs = list(combinations(sorted(centres), 2))
    for i, j in pairs:
        d = centres[i] - centres[j]
        con = con + torch.exp(-(d.square().sum() if distance == "l2" else d.abs().mean().square())) / len(pairs)
    return {"seg": seg, "self": self_, "spar": spar, "con": con, "absence": absence}
