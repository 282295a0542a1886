"""Streams of traffic along the road: cars and trucks in their lanes, cyclists beside them, walkers on pavements.

All objects of a lane run the same course one after another, shifted in time, so that none ever meets another; where
objects slow down they draw closer together, as traffic does. A lane's clock stops at times, and with it everybody in
the lane: stop-and-go. An object is a slot of the lane's timetable, so that who is near a place at a time follows from
that time alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from fleetlabel.engine.synth.crowd import (
    BICYCLE,
    CAR,
    PEDESTRIAN,
    TRUCK,
    Crowd,
    Places,
    columns,
    draw_crowd,
)
from fleetlabel.engine.synth.road import BLOCK_M, CYCLE_LANE_M, LANE_M, Road
from fleetlabel.engine.synth.route import Profile, border_speeds, profile_through
from fleetlabel.engine.synth.streams import Purpose, stream
from fleetlabel.engine.synth.world_config import WorldConfig
from fleetlabel.geometry.arrays import F64, I64

PAVEMENT_TRACKS_M = (1.4, 2.2, 3.0)  # from the kerb
_PAGE = 32  # slots whose properties are drawn together
ID_STRIDE = 1_000_000_000
_ID_ORIGIN = ID_STRIDE // 2  # a slot's number may be negative
FIRST_LANE_GROUP = 2
_ROUND_S = 33.0  # at least, from one halt of a lane's clock to the next


@dataclass(frozen=True, slots=True, eq=False)
class _Page:
    """The taken slots among some consecutive ones: who, and when each sets out."""

    crowd: Crowd
    departure_s: F64


class Lane:
    """One stream of objects at a constant distance from the centre line.

    Attributes:
        group: number of the lane in object ids.
        d_m: its place across the road.
    """

    def __init__(
        self,
        group: int,
        d_m: float,
        direction: int,
        course: Profile,
        clock: Profile,
        headway: tuple[float, float],
        classes: dict[int, float],
        seed: int,
    ) -> None:
        """A lane with its timetable.

        Args:
            direction: +1 with the ego vehicle, -1 against it.
            course: place along the road against the lane's time; who comes the other way drives it backwards in time,
                so that where the road ends does not matter.
            clock: the lane's time against the drive's.
            headway: seconds between slots, and between neighbours at least.
            classes: share of slots taken by each class.
        """
        self.group, self.d_m, self._direction = group, d_m, direction
        self._course, self._clock = course, clock
        self._headway_s, self._least_s = headway
        self._classes, self._seed = classes, seed
        self._page = lru_cache(maxsize=64)(self._drawn_page)

    def near(self, time_s: F64, low_m: float, high_m: float) -> tuple[list[Crowd], Places]:
        """Objects that may be between two places of the road at some of the times (T,).

        Returns:
            crowds, K rows in all; places (T, K), each object's at every time, be it between the places or not.
        """
        earliest, latest = self._course.time_bounds(low_m, high_m)
        if self._direction < 0:
            earliest, latest = -latest, -earliest
        clock = self._clock.at(np.array([time_s.min(), time_s.max()]))[0]
        first = int(np.floor((clock[0] - latest) / self._headway_s)) - 1
        last = int(np.floor((clock[1] - earliest) / self._headway_s))
        pages = [self._page(page) for page in range(first // _PAGE, last // _PAGE + 1)]
        departure = np.concatenate([page.departure_s for page in pages])
        return [page.crowd for page in pages], self._places(time_s, departure)

    def one(self, object_id: int, time_s: F64) -> tuple[Crowd, int, Places]:
        """An object's crowd, row in it, and places (T,)."""
        slot = object_id % ID_STRIDE - _ID_ORIGIN
        page = self._page(slot // _PAGE)
        row = int(np.flatnonzero(page.crowd.object_id == object_id)[0])
        places = self._places(time_s, page.departure_s[row : row + 1])
        return page.crowd, row, Places(*(column[:, 0] for column in columns(places)))

    def _places(self, time_s: F64, departure_s: F64) -> Places:
        clock, pace = self._clock.at(time_s)
        along, speed = self._course.at(self._direction * (clock[:, None] - departure_s))
        return Places(
            along,
            np.full(along.shape, self.d_m),
            np.full(along.shape, 0.0 if self._direction > 0 else np.pi),
            self._direction * speed * pace[:, None],
            np.zeros(along.shape),
            self._direction * along,
        )

    def _drawn_page(self, number: int) -> _Page:
        rng = stream(self._seed, Purpose.LANE, self.group, number + _ID_ORIGIN)
        draw = rng.random((_PAGE, 2))
        borders = np.cumsum(list(self._classes.values()))
        kind = np.searchsorted(borders, draw[:, 0], side="right")
        taken = np.flatnonzero(kind < borders.size)
        slot: I64 = number * _PAGE + taken
        class_id = np.array(list(self._classes), dtype=np.int16)[kind[taken]]
        slack = self._headway_s - self._least_s
        return _Page(
            draw_crowd(rng, self.group * ID_STRIDE + _ID_ORIGIN + slot, class_id),
            slot * self._headway_s + slack * draw[taken, 1],
        )


def lanes_of(road: Road, config: WorldConfig, until_s: float) -> tuple[Lane, ...]:
    """Every lane but the ego vehicle's: vehicles, then cyclists, then walkers.

    Args:
        until_s: the last time that anybody asks for.
    """
    section, seed = road.cross_section, config.seed
    lanes: list[Lane] = []

    def add(d_m: float, direction: int, course: Profile, clock: Profile, headway: tuple[float, float],
            classes: dict[int, float]) -> None:  # fmt: skip
        group = FIRST_LANE_GROUP + len(lanes)
        lanes.append(Lane(group, d_m, direction, course, clock, headway, classes, seed))

    vehicles = {CAR: 0.8 * config.traffic, TRUCK: 0.2 * config.traffic}
    outer = [(-(lane + 0.5) * LANE_M, 1) for lane in range(1, section.forward_lanes)]
    for d_m, direction in outer + [((lane + 0.5) * LANE_M, -1) for lane in range(section.backward_lanes)]:
        group = FIRST_LANE_GROUP + len(lanes)
        speeds = border_speeds(road, seed, group, 0.95)
        legs = [(BLOCK_M, float(a), float(b)) for a, b in pairwise(speeds)]
        clock = _stop_and_go(seed, group, until_s)
        add(d_m, direction, profile_through(0.0, 0.0, legs), clock, (3.6, 2.4), vehicles)
    steady = profile_through(0.0, 0.0, [(1.0, 1.0, 1.0)])
    for side in (-1, 1):
        ride = profile_through(0.0, 0.0, [(road.length_m, 4.4, 4.4)])
        add(
            side * (section.edge_m(side) + CYCLE_LANE_M / 2),
            -side,
            ride,
            steady,
            (5.5, 2.4),
            {BICYCLE: 0.7 * config.people},
        )
        for track, track_m in enumerate(PAVEMENT_TRACKS_M):
            direction = side if track == 1 else -side
            speed = (1.45, 1.2, 1.05)[track]
            walk = profile_through(0.0, 0.0, [(road.length_m, speed, speed)])
            taken = {PEDESTRIAN: 0.5 * config.people}
            add(side * (section.kerb_m(side) + track_m), direction, walk, steady, (14.0, 1.8), taken)
    return tuple(lanes)


def _stop_and_go(seed: int, group: int, until_s: float) -> Profile:
    """A lane's clock: it halts every half a minute or so, slowly enough to brake in comfort."""
    draw = stream(seed, Purpose.STOPS, group).random((2 + int(until_s / _ROUND_S), 2))
    legs: list[tuple[float, float, float]] = []
    for go, stop in draw.tolist():
        legs += [(12.0 + 36.0 * go, 1.0, 1.0), (5.0, 1.0, 0.0), (1.0 + 5.0 * stop, 0.0, 0.0), (5.0, 0.0, 1.0)]
    return profile_through(-20.0 * float(draw[0, 1]), 0.0, legs)
