"""Values that hold over ranges of frames: one canonical form, so that equal content is equal, however it came about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from fleetlabel.geometry.arrays import AnyArray, Bool

V = TypeVar("V", bound=bool | int | float | str)


@dataclass(frozen=True, slots=True)
class Spans(Generic[V]):
    """A value per frame, or none: ranges ``(start, stop, value)``, ascending, disjoint, neighbours merged if equal."""

    ranges: tuple[tuple[int, int, V], ...] = ()

    def __iter__(self) -> Iterator[tuple[int, int, V]]:
        return iter(self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def at(self, frame: int) -> V | None:
        """The value at a frame, None if there is none."""
        for start, stop, value in self.ranges:
            if start <= frame < stop:
                return value
        return None

    def assign(self, start: int, stop: int, value: V | None) -> Spans[V]:
        """With ``value`` over the frames ``start:stop``; None takes away what is there."""
        if start >= stop:
            return self
        kept = [*self.cut(start)[0].ranges, *self.cut(stop)[1].ranges]
        return _canonical(kept if value is None else [*kept, (start, stop, value)])

    def cut(self, frame: int) -> tuple[Spans[V], Spans[V]]:
        """What holds before a frame, and what holds from it on."""
        before = [(start, min(stop, frame), value) for start, stop, value in self.ranges if start < frame]
        after = [(max(start, frame), stop, value) for start, stop, value in self.ranges if stop > frame]
        return Spans(tuple(before)), Spans(tuple(after))

    def clip(self, start: int, stop: int) -> Spans[V]:
        """What holds within the frames ``start:stop``."""
        return self.cut(start)[1].cut(stop)[0]

    def over(self, other: Spans[V]) -> Spans[V]:
        """These values, and those of ``other`` where these have none."""
        joined = other
        for start, stop, value in self.ranges:
            joined = joined.assign(start, stop, value)
        return joined

    def without(self, frames: AnyArray) -> Spans[V]:
        """Without the values at some frames."""
        left = self
        for start, stop in runs_of(frames):
            left = left.assign(start, stop, None)
        return left

    def mask(self, frames: AnyArray) -> Bool:
        """(N,) which of the frames have a value."""
        found: Bool = np.zeros(len(frames), dtype=np.bool_)
        for start, stop, _ in self.ranges:
            found |= (frames >= start) & (frames < stop)
        return found

    def fill(self, frames: AnyArray, column: AnyArray) -> None:
        """Writes the values at ``frames`` (N,) into ``column`` (N,); rows without a value stay as they are."""
        for start, stop, value in self.ranges:
            column[(frames >= start) & (frames < stop)] = value


def runs_of(frames: AnyArray) -> list[tuple[int, int]]:
    """Ranges ``(start, stop)`` of consecutive frames; frames are ascending."""
    if not len(frames):
        return []
    breaks = np.flatnonzero(np.diff(frames) > 1) + 1
    starts = frames[np.concatenate([[0], breaks])]
    stops = frames[np.concatenate([breaks - 1, [len(frames) - 1]])] + 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _canonical(ranges: Iterable[tuple[int, int, V]]) -> Spans[V]:
    merged: list[tuple[int, int, V]] = []
    for start, stop, value in sorted(ranges, key=lambda entry: entry[0]):
        last = merged[-1] if merged else None
        if last and last[1] == start and type(last[2]) is type(value) and last[2] == value:
            merged[-1] = (last[0], stop, value)
        else:
            merged.append((start, stop, value))
    return Spans(tuple(merged))
