"""The terms beside AGMM written out literally, pixel by pixel from their papers' formulas; gradients by autograd."""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F


def literal_absence(logits: Tensor, valid: Tensor, present: Tensor) -> Tensor:
    """Mean over real pixels of -sum of log(1 - P_k + 1e-6) over the classes not in the image."""
    probs, total = logits.softmax(1), logits.new_zeros(())
    for n, row, col in valid.nonzero().tolist():
        if present[n].any():
            for k in (~present[n]).nonzero()[:, 0].tolist():
                total = total - torch.log(1 - probs[n, k, row, col] + 1e-6)
    return total / max(1, int(valid.sum()))


def literal_entropy(logits: Tensor, valid: Tensor) -> Tensor:
    """Mean over real pixels of -sum P log P."""
    probs, total = logits.softmax(1), logits.new_zeros(())
    for n, row, col in valid.nonzero().tolist():
        p = probs[n, :, row, col]
        total = total - (p * torch.log(p)).sum()
    return total / max(1, int(valid.sum()))


def literal_gated_crf(
    logits: Tensor, image: Tensor, valid: Tensor, *, radius: int, sigma_rgb: float, sigma_xy: float, shrink: int
) -> Tensor:
    """Sum over pairs of real pixels within the radius of k(a, b) (1 - P(a) P(b)), over the number of real pixels."""
    num_images, _, height, width = logits.shape
    rows, cols = height // shrink, width // shrink
    probs = logits.softmax(1)
    total, num_real = logits.new_zeros(()), 0

    def square(x: Tensor, row: int, col: int) -> Tensor:
        return x[..., row * shrink : (row + 1) * shrink, col * shrink : (col + 1) * shrink]

    for n in range(num_images):
        p = {(r, c): square(probs[n], r, c).mean((1, 2)) for r in range(rows) for c in range(cols)}
        color = {(r, c): square(image[n], r, c).mean((1, 2)) for r in range(rows) for c in range(cols)}
        real = [(r, c) for r in range(rows) for c in range(cols) if square(valid[n], r, c).all()]
        num_real += len(real)
        for a, b in product(real, real):
            down, right = a[0] - b[0], a[1] - b[1]
            if a == b or max(abs(down), abs(right)) > radius:
                continue
            in_space = (down**2 + right**2) / (2 * sigma_xy**2)
            in_color = float((color[a] - color[b]).square().sum()) / (2 * sigma_rgb**2)
            total = total + math.exp(-in_space - in_color) * (1 - (p[a] * p[b]).sum())
    return total / max(1, num_real)


def literal_mean_teacher(
    logits: Tensor, teacher: Tensor, valid: Tensor, allowed: Tensor, *, threshold: float, soft: bool
) -> Tensor:
    """Cross-entropy against the teacher's distribution over the allowed classes, over the number of real pixels."""
    log_probs, total = logits.log_softmax(1), logits.new_zeros(())
    for n, row, col in valid.nonzero().tolist():
        classes = allowed[n].nonzero()[:, 0]
        if not len(classes):
            continue
        share = torch.exp(teacher[n, classes, row, col])
        share = share / share.sum()
        best = int(share.argmax())
        if share[best] < threshold:
            continue
        if soft:
            total = total - (share * log_probs[n, classes, row, col]).sum()
        else:
            total = total - log_probs[n, classes[best], row, col]
    return total / max(1, int(valid.sum()))


def literal_presence(scores: Tensor, target: Tensor, valid: Tensor, present: Tensor) -> Tensor:
    """Mean of -log q for classes labelled in the crop and -log(1 - q) for classes that the image does not hold.

    Args:
        scores: Raw scores of the classes of each image, shape (N, C).
        target: Shape (N, H, W).
        valid: Shape (N, H, W).
        present: Classes labelled anywhere in the image, shape (N, C).
    """
    losses = []
    for n in range(len(scores)):
        for k in range(scores.shape[1]):
            q = torch.sigmoid(scores[n, k])
            if bool(((target[n] == k) & valid[n]).any()):
                losses.append(-torch.log(q))
            elif present[n].any() and not present[n, k]:
                losses.append(-torch.log(1 - q))
    return torch.stack(losses).mean() if losses else scores.sum() * 0


def literal_mixture_labels(logits: Tensor, density: Tensor, valid: Tensor, *, threshold: float) -> Tensor:
    """Cross-entropy against the Gaussian with the highest share.

    Args:
        logits: Shape (N, C, H, W).
        density: The Gaussians at the features' size, 0 for classes without one, shape (N, C, h, w).
        valid: Shape (N, H, W).
        threshold: Least share.
    """
    share = density / (density.sum(1, keepdim=True) + 1e-6)
    share = F.interpolate(share, size=valid.shape[1:], mode="bilinear", align_corners=False)
    log_probs, total = logits.log_softmax(1), logits.new_zeros(())
    for n, row, col in valid.nonzero().tolist():
        best = int(share[n, :, row, col].argmax())
        if share[n, best, row, col] >= threshold and density[n, best].any():
            total = total - log_probs[n, best, row, col]
    return total / max(1, int(valid.sum()))


def literal_tree_filter(probs: Tensor, values: Tensor, real: Tensor, sigma: float) -> Tensor:
    """One image's predictions, (C, h, w), averaged with exp(-D), D along Kruskal's tree of ``values``, (D, h, w)."""
    height, width = real.shape
    places = [(r, c) for r in range(height) for c in range(width)]
    edges = []
    for r, c in places:
        for other in ((r + 1, c), (r, c + 1)):
            if other in places and real[r, c] and real[other]:
                edges.append((float((values[:, r, c] - values[:, other[0], other[1]]).square().sum()), (r, c), other))
    group = {place: place for place in places}

    def top(place: tuple[int, int]) -> tuple[int, int]:
        return place if group[place] == place else top(group[place])

    joined: dict[tuple[int, int], list[tuple[tuple[int, int], float]]] = {place: [] for place in places}
    for edge, a, b in sorted(edges):
        if top(a) != top(b):
            group[top(a)] = top(b)
            joined[a].append((b, edge))
            joined[b].append((a, edge))
    result = torch.zeros_like(probs)
    for start in places:
        distance, waiting = {start: 0.0}, [start]
        while waiting:
            here = waiting.pop()
            for there, edge in joined[here]:
                if there not in distance:
                    distance[there] = distance[here] + edge
                    waiting.append(there)
        weights = {place: math.exp(-d / sigma) for place, d in distance.items()}
        mean = sum(weights[place] * probs[:, place[0], place[1]] for place in weights) / sum(weights.values())
        result[:, start[0], start[1]] = mean
    return result


def literal_tree_energy(
    logits: Tensor, features: Tensor, image: Tensor, target: Tensor, valid: Tensor, *, sigma: float
) -> Tensor:
    """Mean over unlabelled real positions of |P - F_features(F_colours(P))|, summed over the classes."""
    size = features.shape[2:]
    probs = F.interpolate(logits, size=size, mode="bilinear", align_corners=False).softmax(1)
    colors = F.interpolate(image, size=size, mode="area")
    total, count = logits.new_zeros(()), 0
    for n in range(len(logits)):
        real = F.interpolate(valid[n, None, None].to(logits), size=size, mode="area")[0, 0] == 1
        has_label = (target[n] != 255) & valid[n]
        soft = literal_tree_filter(probs[n].detach(), colors[n], real, sigma)
        soft = literal_tree_filter(soft, features[n].detach(), real, 1.0)
        scale = [length / cells for length, cells in zip(valid.shape[1:], size, strict=True)]
        for row, col in real.nonzero().tolist():
            under = has_label[
                math.floor(row * scale[0]) : math.ceil((row + 1) * scale[0]),
                math.floor(col * scale[1]) : math.ceil((col + 1) * scale[1]),
            ]
            if not under.any():
                total = total + (probs[n, :, row, col] - soft[:, row, col]).abs().sum()
                count += 1
    return total / max(1, count)
