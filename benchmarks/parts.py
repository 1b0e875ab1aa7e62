"""Count the seconds of the processor that functions take, for benchmarks of whole commands."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection
from functools import wraps
from typing import Any


class Parts:
    """Seconds of the processor by part.

    Args:
        whole: Parts that include the parts inside them; elsewhere, the inner one counts.
    """

    def __init__(self, whole: Collection[str] = ()) -> None:
        self.rounds: list[dict[str, float]] = []
        self._whole = whole
        self._seconds: dict[str, float] = defaultdict(float)
        self._inside: list[str] = []
        self._since = time.process_time()

    def _count(self) -> None:
        now = time.process_time()
        self._seconds[self._inside[-1] if self._inside else "other"] += now - self._since
        self._since = now

    def time(self, part: str, owner: Any, name: str) -> None:
        """Count the calls of a function as a part."""
        function = getattr(owner, name)

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._inside and self._inside[-1] in self._whole:
                return function(*args, **kwargs)
            self._count()
            self._inside.append(part)
            try:
                return function(*args, **kwargs)
            finally:
                self._count()
                self._inside.pop()

        setattr(owner, name, timed)

    def end_round(self) -> None:
        """Note what has been counted, and begin anew."""
        self._count()
        self.rounds.append(dict(self._seconds))
        self._seconds.clear()
