"""Motion along a path: speed profiles in closed form, and the ego vehicle's drive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.synth.road import BLOCK_M, Road
from fleetlabel.engine.synth.streams import Purpose, stream
from fleetlabel.geometry.arrays import F64

EGO_LANE_M = -1.75
EGO_LENGTH_M, EGO_WIDTH_M = 4.6, 1.9
EGO_CENTER_M = 1.3  # of the footprint, ahead of the rear axle
STOP_LINE_M = 12.0  # before the middle of a junction
_STOP_SPEED_MPS = 8.0  # at most, at the borders of a block with a stop
_LATERAL_MPS2 = 1.8


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Distance as a function of time: P phases, in each of which speed goes smoothly from one value to the next.

    Speed within a phase is a smoothstep, so that acceleration is continuous too: zero at both ends, and at most 1.5
    times the mean. Before the first and after the last phase speed is constant.

    Attributes:
        start_s, duration_s: (P,) of the phases.
        start_m: (P,) distance at their start.
        from_mps, to_mps: (P,) speeds at their ends.
    """

    start_s: F64
    duration_s: F64
    start_m: F64
    from_mps: F64
    to_mps: F64

    def at(self, time_s: F64) -> tuple[F64, F64]:
        """Distances and speeds at times (...)."""
        time = np.asarray(time_s, dtype=np.float64)
        phase = np.maximum(np.searchsorted(self.start_s, time, side="right") - 1, 0)
        columns = (self.start_s, self.duration_s, self.start_m, self.from_mps, self.to_mps)
        return progress(time, *(column[phase] for column in columns))

    def time_bounds(self, low_m: float, high_m: float) -> tuple[float, float]:
        """Times between which the distance is in an interval: exact where speed is constant, else a phase's ends."""
        first = max(int(np.searchsorted(self.start_m, low_m, side="right")) - 1, 0)
        last = max(int(np.searchsorted(self.start_m, high_m, side="right")) - 1, 0)
        earliest, latest = self.start_s[first], self.start_s[last] + self.duration_s[last]
        if first == 0 or self.from_mps[first] == self.to_mps[first]:
            earliest = self.start_s[first] + _duration_s(low_m - self.start_m[first], self.from_mps[first])
        if last == self.start_m.size - 1 or self.from_mps[last] == self.to_mps[last]:
            latest = self.start_s[last] + _duration_s(high_m - self.start_m[last], self.from_mps[last])
        return float(earliest), float(latest)


def _duration_s(way_m: float, speed_mps: float) -> float:
    """How long a way takes; who stands takes for ever."""
    return way_m / speed_mps if speed_mps else float(np.copysign(np.inf, way_m))


def progress(
    time_s: F64, start_s: F64, duration_s: F64, start_m: F64, from_mps: F64, to_mps: F64
) -> tuple[F64, F64]:
    """Distances and speeds at times, each in its own phase; see :class:`Profile`."""
    since = time_s - start_s
    within = np.minimum(np.maximum(since, 0.0), duration_s)
    u = within / duration_s
    gain, square = to_mps - from_mps, u * u
    speed = from_mps + gain * (square * (3.0 - 2.0 * u))
    distance = start_m + from_mps * within + gain * duration_s * (square * u * (1.0 - 0.5 * u))
    return distance + speed * (since - within), speed


def profile_through(start_s: float, start_m: float, legs: Sequence[tuple[float, float, float]]) -> Profile:
    """Profile of consecutive legs.

    Args:
        start_s, start_m: time and distance at which it begins.
        legs: (distance, speed at the start, speed at the end); a leg without speed is (duration, 0, 0).
    """
    amount, before, after = np.array(legs, dtype=np.float64).T
    standing = (before == 0.0) & (after == 0.0)
    duration = np.where(standing, amount, 2.0 * amount / np.where(standing, 1.0, before + after))
    length = np.where(standing, 0.0, amount)
    times = start_s + np.concatenate([[0.0], np.cumsum(duration)[:-1]])
    places = start_m + np.concatenate([[0.0], np.cumsum(length)[:-1]])
    return Profile(times, duration, places, before, after)


def border_speeds(road: Road, seed: int, number: int, factor: float) -> F64:
    """Speeds (B + 1,) of a lane at the blocks' borders: a drawn limit, lower in bends and at junctions."""
    draw = stream(seed, Purpose.SPEED, number).random(road.turn_rad.size)
    limit = factor * (8.0 + 5.5 * draw)
    curvature = 2.0 * np.abs(road.turn_rad) / BLOCK_M
    limit = np.minimum(limit, np.sqrt(_LATERAL_MPS2 / np.maximum(curvature, 1e-3)))
    limit = np.where(road.junction, np.minimum(limit, _STOP_SPEED_MPS), limit)
    padded = np.concatenate([limit[:1], limit, limit[-1:]])
    lower: F64 = np.minimum(padded[:-1], padded[1:])
    return lower


def ego_profile(road: Road, seed: int, first_block: int) -> Profile:
    """The ego vehicle's distance along the centre line; time 0 is at the start of a block.

    It stops at some junctions, before the line, for two to seven seconds.
    """
    speeds = border_speeds(road, seed, 0, 1.0)
    draw = stream(seed, Purpose.STOPS, 0).random((road.turn_rad.size, 2))
    stops = road.junction & (draw[:, 0] < 0.45)
    legs: list[tuple[float, float, float]] = []
    stop_m = BLOCK_M / 2 - STOP_LINE_M - (EGO_CENTER_M + EGO_LENGTH_M / 2)
    for block in range(first_block, road.turn_rad.size):
        before, after = float(speeds[block]), float(speeds[block + 1])
        if stops[block]:
            legs += [
                (stop_m, before, 0.0),
                (2.0 + 5.0 * draw[block, 1], 0.0, 0.0),
                (BLOCK_M - stop_m, 0.0, after),
            ]
        else:
            legs.append((BLOCK_M, before, after))
    return profile_through(0.0, first_block * BLOCK_M, legs)
