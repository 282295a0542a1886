"""Times of a sensor's samples: exact nanoseconds, and clocks that stand still or run backwards."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from fleetlabel.geometry.arrays import I64, Bool
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.errors import SourceError


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """When a sensor measured.

    Attributes:
        timestamp_ns: (F,) int64, strictly increasing over the samples that have a time of their own.
        faults: frame -> what is wrong with its time, in words; its ``timestamp_ns`` is a guess.
    """

    timestamp_ns: I64
    faults: Mapping[int, str] = field(default_factory=dict)


def nanoseconds(seconds: object) -> int | None:
    """Exact int64 nanoseconds of a decimal number of seconds, None if it is no number of this age."""
    if isinstance(seconds, bool) or not isinstance(seconds, Decimal | float | int):
        return None
    value = Decimal(seconds)
    if not value.is_finite() or abs(value) >= Decimal(9_000_000_000):
        return None
    return int((value * 1_000_000_000).to_integral_value())


def timeline(times_ns: Sequence[int | None], known: Bool, where: str) -> Timeline:
    """A sensor's times with the fewest samples blamed.

    The samples on a longest strictly increasing run keep their times; each other one (the second of a pair, a jump
    back or ahead) is a fault, and its time is interpolated over the frame number. Frames without an entry are
    interpolated too, without a fault.

    Args:
        times_ns: (F,) time of each frame, None where the entry is no number.
        known: (F,) which frames have an entry at all.
        where: the file, for messages.

    Raises:
        SourceError: fewer than half of the entries are in order, so nobody can say which are right.
    """
    entries = np.flatnonzero(known)
    usable = [int(frame) for frame in entries if times_ns[int(frame)] is not None]
    values = [int(times_ns[frame] or 0) for frame in usable]
    kept = [usable[row] for row in _longest_increasing(values)]
    if not kept or 2 * len(kept) < len(entries):
        raise SourceError(
            f"{where}: only {len(kept)} of {len(entries)} timestamps are numbers in ascending order; "
            "the sensor's clock cannot be trusted, so restore the file from the original log"
        )
    filled = fill_between(kept, [int(times_ns[frame] or 0) for frame in kept], len(times_ns))
    faults = {
        int(frame): _fault(times_ns, int(frame), where) for frame in np.setdiff1d(entries, np.array(kept))
    }
    return Timeline(filled, faults)


def fill_between(frames: Sequence[int], values: Sequence[int], length: int) -> I64:
    """Times (length,) int64: ``values`` at ``frames``, linear between, at the mean rate (or 10 Hz) beyond."""
    if len(frames) == 1:
        return values[0] + (np.arange(length) - frames[0]) * 100_000_000
    base = values[0]
    relative = np.array(values, dtype=np.int64) - base
    at = np.arange(length)
    step = round(int(relative[-1]) / (frames[-1] - frames[0]))
    filled = base + np.round(np.interp(at, frames, relative.astype(np.float64))).astype(np.int64)
    filled[at < frames[0]] = base + (at[at < frames[0]] - frames[0]) * step
    filled[at > frames[-1]] = base + int(relative[-1]) + (at[at > frames[-1]] - frames[-1]) * step
    filled[np.asarray(frames)] = base + relative
    return filled


def within_reach(times: Timeline, trajectory: Trajectory, frame_timestamp_ns: I64) -> Timeline:
    """The timeline with faults for samples so far from all ego poses that their place is unknown."""
    slack = trajectory.max_extrapolation_ns
    first, last = int(trajectory.timestamp_ns[0]) - slack, int(trajectory.timestamp_ns[-1]) + slack
    beyond = (times.timestamp_ns < first) | (times.timestamp_ns > last)
    if not bool(beyond.any()):
        return times
    faults = dict(times.faults)
    for frame in np.flatnonzero(beyond):
        text = f"taken at {times.timestamp_ns[frame]} ns, over {slack / 1e9:g} s from any ego pose"
        faults.setdefault(int(frame), text)
    return Timeline(np.where(beyond, frame_timestamp_ns, times.timestamp_ns), faults)


def require_reach(frame_timestamp_ns: I64, trajectory: Trajectory, where: str) -> None:
    """Refuses a drive with frames so far from all ego poses that nothing in them could be placed.

    Raises:
        SourceError: there are such frames.
    """
    slack = trajectory.max_extrapolation_ns
    outside = (frame_timestamp_ns < trajectory.timestamp_ns[0] - slack) | (
        frame_timestamp_ns > trajectory.timestamp_ns[-1] + slack
    )
    if bool(outside.any()):
        frames = np.flatnonzero(outside)
        raise SourceError(
            f"{where}: {len(frames)} frames, {frames[0]} to {frames[-1]}, have no pose within "
            f"{slack / 1e9:g} s, so nobody knows where the vehicle was; restore the file from the original "
            f"log, or cut the drive there"
        )


def _longest_increasing(values: Sequence[int]) -> list[int]:
    """Rows of a longest strictly increasing subsequence; where several are as long, what came first stays.

    Patience sorting, O(n log n): pile k holds the rows that end a run of k + 1, their values falling.
    """
    tails: list[int] = []
    piles: list[list[int]] = []
    falling: list[list[int]] = []
    before: list[int] = []
    for row, value in enumerate(values):
        place = bisect_left(tails, value)
        # The first row of the pile before with a smaller value.
        before.append(piles[place - 1][bisect_right(falling[place - 1], -value)] if place else -1)
        if place == len(tails):
            tails.append(value)
            piles.append([row])
            falling.append([-value])
        elif value < tails[place]:
            tails[place] = value
            piles[place].append(row)
            falling[place].append(-value)
    rows = [piles[-1][0]] if piles else []
    while rows and before[rows[-1]] >= 0:
        rows.append(before[rows[-1]])
    return rows[::-1]


def _fault(times_ns: Sequence[int | None], frame: int, where: str) -> str:
    time = times_ns[frame]
    if time is None:
        return f"{where}: the timestamp of frame {frame} is not a number"
    twins = [other for other, value in enumerate(times_ns) if value == time and other != frame]
    if twins:
        return f"{where}: frame {frame} has the same timestamp as frame {twins[0]} ({time} ns)"
    return f"{where}: the timestamp of frame {frame} ({time} ns) is out of order with the frames around it"
