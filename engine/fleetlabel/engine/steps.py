"""Steps of tasks (read, decode, inference, ...), timed while somebody measures and free while nobody does.

A step is what a thread does between entering and leaving a ``with step(...)``. Steps do not nest, so that their times
add up. What happens in other threads on a step's behalf is in its wall time and not in its core time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class StepTime:
    """One step, done.

    Attributes:
        name: of the step.
        frames: pictures, sweeps or frames that it was about.
        wall_s: from entering to leaving.
        core_s: core time of its thread.
        n_bytes: that it read or wrote, as the step says.
    """

    name: str
    frames: int
    wall_s: float
    core_s: float
    n_bytes: int


_watched: list[StepTime] | None = None


class step:
    """A part of a task that is timed while somebody records.

    Attributes:
        n_bytes: that it read or wrote; may be set until it is left.
    """

    __slots__ = ("_core_s", "_frames", "_name", "_wall_s", "n_bytes")

    def __init__(self, name: str, frames: int = 1, n_bytes: int = 0) -> None:
        self._name = name
        self._frames = frames
        self.n_bytes = n_bytes

    def __enter__(self) -> Self:
        if _watched is not None:
            self._wall_s, self._core_s = time.perf_counter(), time.thread_time()
        return self

    def __exit__(self, *_: object) -> None:
        watched = _watched
        if watched is not None and hasattr(self, "_wall_s"):
            wall_s, core_s = time.perf_counter() - self._wall_s, time.thread_time() - self._core_s
            watched.append(StepTime(self._name, self._frames, wall_s, core_s, self.n_bytes))


@contextmanager
def recording() -> Iterator[list[StepTime]]:
    """All steps of this process from here to the end of the block, in the order in which they end.

    Raises:
        RuntimeError: somebody records already.
    """
    global _watched
    if _watched is not None:
        raise RuntimeError("steps are being recorded already; one measurement at a time")
    times: list[StepTime] = []
    _watched = times
    try:
        yield times
    finally:
        _watched = None
