"""Tree energy: each pixel should agree with its close neighbours in a minimum spanning tree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from torch import Tensor
from torch.nn import functional as F

from agmm.losses.term import LabelledBatch, TermLoss
from agmm.models.network import SegmentationOutput

#: Of positions in sparse matrices; scipy 1.11 takes no wider ones.
_INDEX = np.int32


class TreeEnergyLoss(TermLoss):
    """L_seg + weight * L_tree, which compares predictions with their averages along two minimum spanning trees.

    L_tree = (1/U) sum over unlabelled real positions i of sum over classes k of |P_k(i) - Y_k(i)|, with soft labels Y =
    F_features(F_colours(P)). F replaces the prediction of a position by the average over all positions j of the image
    with weights exp(-D(i, j)), where D is the sum of the edges on the path from i to j in the minimum spanning tree of
    the 4-connected grid. An edge is |I_i - I_j|^2 / sigma for colours and |f_i - f_j|^2 for features. Everything is
    computed at the size of the features, padding is not connected, and Y carries no gradient.

    SciPy builds the trees on the CPU, which synchronizes with the device. For a batch of 8 at 32x24, this adds a few
    dozen milliseconds; time grows with the number of positions.

    References:
        Liang et al., "Tree Energy Loss: Towards Sparsely Annotated Semantic Segmentation", CVPR 2022; filter of Song
        et al., "Learnable Tree Filter for Structure-preserving Feature Transform", NeurIPS 2019.
    """

    term_name = "tree_energy"

    def term(self, output: SegmentationOutput, batch: LabelledBatch) -> Tensor:
        """L_tree, a scalar."""
        size = output.features.shape[2:]
        logits = F.interpolate(output.logits, size=size, mode="bilinear", align_corners=False)
        probs = logits.softmax(1)
        image = F.interpolate(batch.image.to(probs.dtype), size=size, mode="area")
        real = F.interpolate(batch.valid[:, None].to(probs.dtype), size=size, mode="area").eq(1)[:, 0]
        counted = real & ~_labelled_positions(batch, size)
        with torch.no_grad():
            soft = _filter(probs, image, real, self.options.sigma)
            soft = _filter(soft, output.features.to(probs.dtype), real, 1.0)
        difference = (probs - soft).abs().sum(1)
        return difference.masked_fill(~counted, 0).sum() / counted.sum().clamp(min=1)


@dataclass(frozen=True)
class Forest:
    """Trees over the positions of a batch, joined at an extra root that passes nothing on.

    Args:
        order: Positions of the flattened batch by depth, shape (P,), without the root.
        parent: Index in ``order`` of each position's parent; 0 at the top.
        affinity: exp(-edge) to the parent, shape (P,); 0 at the top.
        levels: First index in ``order`` of each depth, and P at the end.
    """

    order: NDArray[np.int64]
    parent: NDArray[np.int64]
    affinity: NDArray[np.float64]
    levels: list[int]


def spanning_forest(values: NDArray[np.float64], real: NDArray[np.bool_], sigma: float) -> Forest:
    """Minimum spanning trees of 4-connected grids.

    Args:
        values: Colours or features, shape (N, D, h, w).
        real: False on padding, which is not connected, shape (N, h, w).
        sigma: Divisor of the squared differences.
    """
    place = np.arange(real.size, dtype=_INDEX).reshape(real.shape)
    firsts, seconds, edges = [], [], []
    for axis in (1, 2):
        length = real.shape[axis]
        one, two = (np.arange(length - 1), np.arange(1, length))
        joined = real.take(one, axis) & real.take(two, axis)
        squared = np.square(values.take(one, axis + 1) - values.take(two, axis + 1)).sum(1) / sigma
        firsts.append(place.take(one, axis)[joined])
        seconds.append(place.take(two, axis)[joined])
        edges.append(squared[joined])
    # Add 1 to each edge, because SciPy treats an edge of 0 as missing; the tree stays the same.
    ends = np.concatenate(firsts), np.concatenate(seconds)
    tree = minimum_spanning_tree(coo_array((np.concatenate(edges) + 1, ends), shape=(real.size, real.size)).tocsr())
    _, component = connected_components(tree, directed=False)
    _, tops = np.unique(component, return_index=True)
    kept = tree.tocoo()
    row = np.concatenate([kept.row, np.full(len(tops), real.size)]).astype(_INDEX)
    col = np.concatenate([kept.col, tops]).astype(_INDEX)
    edge = np.concatenate([kept.data, np.full(len(tops), np.inf)])
    return _by_depth(row, col, edge, real.size)


def _by_depth(row: NDArray[np.int32], col: NDArray[np.int32], edge: NDArray[np.float64], root: int) -> Forest:
    """The tree with these edges, as seen from its root, which is its last position."""
    joined = coo_array((np.ones(len(row)), (row, col)), shape=(root + 1, root + 1)).tocsr()
    order, before = breadth_first_order(joined, root, directed=False)
    rank = np.empty(root + 1, np.int64)
    rank[order] = np.arange(root + 1)
    parent = rank[before[order[1:]]]
    deeper = np.maximum(rank[row], rank[col])  # each edge belongs to the end that is farther from the root
    affinity = np.empty(root + 1)
    affinity[deeper] = np.exp(1 - edge)
    levels = [1]
    while levels[-1] <= root:  # the parents of a level are in the level before, in ascending order
        levels.append(1 + int(np.searchsorted(parent, levels[-1])))
    return Forest(order[1:].astype(np.int64), np.maximum(parent - 1, 0), affinity[1:], [i - 1 for i in levels])


def _filter(probs: Tensor, values: Tensor, real: Tensor, sigma: float) -> Tensor:
    """Average ``probs``, (N, C, h, w), along the minimum spanning trees of ``values``, (N, D, h, w)."""
    forest = spanning_forest(values.detach().cpu().double().numpy(), real.cpu().numpy(), sigma)
    order, parent = (torch.from_numpy(part).to(probs.device) for part in (forest.order, forest.parent))
    affinity = torch.from_numpy(forest.affinity).to(probs)[:, None]
    flat = probs.permute(0, 2, 3, 1).flatten(0, 2)
    inwards = torch.cat([flat, torch.ones_like(flat[:, :1])], dim=1)[order]
    steps = [slice(*ends) for ends in zip(forest.levels[1:], forest.levels[2:], strict=False)]
    for level in reversed(steps):
        inwards.index_add_(0, parent[level], affinity[level] * inwards[level])
    sums = inwards.clone()
    for level in steps:
        sums[level] = affinity[level] * sums[parent[level]] + (1 - affinity[level].square()) * inwards[level]
    result = torch.empty_like(flat)
    result[order] = sums[:, :-1] / sums[:, -1:]
    return result.view(probs.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)


def _labelled_positions(batch: LabelledBatch, size: torch.Size) -> Tensor:
    """Positions of the features under which a labelled pixel lies, bool, shape (N, h, w)."""
    labelled = torch.zeros_like(batch.valid, dtype=torch.float32)
    labelled.view(-1)[batch.labelled.position] = 1
    return F.adaptive_max_pool2d(labelled, tuple(size)).bool()
