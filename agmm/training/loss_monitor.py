"""Mean of every loss term over an epoch, and the first term that is not finite."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, distributed

from agmm.distributed import Ranks, widest_float
from agmm.errors import TrainingError

_NEVER = 2**62


class TermMonitor:
    """Collects loss terms on the device, so that no step waits for it.

    Args:
        ranks: The processes over which means are taken.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._names: tuple[str, ...] = ()
        self._sums = torch.zeros(0)
        self._first_bad = torch.zeros(0, dtype=torch.int64)
        self._count = 0

    def add(self, step: int, total: Tensor, terms: Mapping[str, Tensor]) -> None:
        """Record the loss and its terms at a step."""
        values = torch.stack([total.detach().float(), *(term.detach().float() for term in terms.values())])
        if not self._names:
            self._names = ("loss", *terms)
            self._sums = torch.zeros_like(values, dtype=widest_float(values.device))
            self._first_bad = torch.full_like(values, _NEVER, dtype=torch.int64)
        self._sums += values
        self._first_bad = torch.where(values.isfinite(), self._first_bad, self._first_bad.clamp(max=step))
        self._count += 1

    def means(self) -> dict[str, float]:
        """Return the mean of the loss and of each term since the last ``clear``; every rank must call it.

        Raises:
            TrainingError: If one was not finite; names the step and the terms where this happened first.
        """
        sums, first_bad = self._sums.clone(), self._first_bad.clone()
        if self._ranks.num_ranks > 1:
            distributed.all_reduce(sums)
            distributed.all_reduce(first_bad, distributed.ReduceOp.MIN)
        if (step := int(first_bad.min())) != _NEVER:
            # List terms before their sum: NaN in a term also makes the loss NaN.
            named = [name for name, at in zip(self._names, first_bad.tolist(), strict=True) if at == step]
            raise TrainingError(
                f"Not a finite number at step {step}: {', '.join(named[1:] or named)}. Training stopped; the "
                "checkpoint of the previous epoch, if any, is kept. Lower --learning-rate, limit the gradient with "
                "--clip-norm 5, or raise --warmup-steps."
            )
        return dict(zip(self._names, (sums / (self._count * self._ranks.num_ranks)).tolist(), strict=True))

    def clear(self) -> None:
        """Start a new epoch."""
        self._sums.zero_()
        self._count = 0
