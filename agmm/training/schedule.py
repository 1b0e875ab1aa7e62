"""The learning rate schedule: a pure function of the step, so that resuming needs no other state."""

from __future__ import annotations

import math
from collections.abc import Callable


def poly(progress: float) -> float:
    """The paper's schedule: (1 - progress) to the power of 0.9, for progress 0..1."""
    return float((1 - progress) ** 0.9)


def cosine(progress: float) -> float:
    """Half a cosine wave from 1 to 0, for progress 0..1."""
    return 0.5 * (1 + math.cos(math.pi * progress))


#: Schedules by name: share of the full learning rate as a function of the progress 0..1.
SCHEDULES: dict[str, Callable[[float], float]] = {"poly": poly, "cosine": cosine}


def learning_rate_factor(schedule: str, step: int, num_steps: int, warmup_steps: int = 0) -> float:
    """Share of the full learning rate at a step.

    Args:
        schedule: A name of ``SCHEDULES``.
        step: Index of the step, from 0.
        num_steps: Steps of the whole run.
        warmup_steps: Number of first steps, over which the rate rises linearly from nearly 0 to the schedule.

    Example:
        >>> [round(learning_rate_factor("poly", step, 4, warmup_steps=2), 3) for step in range(4)]
        [0.5, 0.772, 0.536, 0.287]
    """
    warmup = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return warmup * SCHEDULES[schedule](step / num_steps)
