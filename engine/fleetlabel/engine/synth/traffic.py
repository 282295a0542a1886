"""Objects that belong to a place: parked vehicles, people who stand or cross the road, cars that join the ego's lane.

Everything here is planned once per block, or per stretch between two junctions, against the ego vehicle, the lanes'
streams and what was planned before it; a plan that would come too close to anything is timed anew or dropped. A plan
depends on its block or stretch and on nothing planned elsewhere:

- cars join the ego's lane from a junction's right-hand side street and leave it at the next junction;
- people cross at one place per block, after the cars of its stretch are planned;
- parked vehicles and people who stand are out of everybody's way.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from fleetlabel.engine.synth.courses import Course, Planned, courses_of
from fleetlabel.engine.synth.crowd import (
    CAR,
    PEDESTRIAN,
    TRUCK,
    Crowd,
    Places,
    columns,
    draw_crowd,
    join,
    still_places,
)
from fleetlabel.engine.synth.lanes import ID_STRIDE, Lane, lanes_of
from fleetlabel.engine.synth.road import (
    BLOCK_M,
    CYCLE_LANE_M,
    PARKING_M,
    SIDE_STREET_HALF_M,
    Road,
)
from fleetlabel.engine.synth.route import (
    EGO_CENTER_M,
    EGO_LANE_M,
    EGO_LENGTH_M,
    EGO_WIDTH_M,
    Profile,
    border_speeds,
    profile_through,
)
from fleetlabel.engine.synth.streams import Purpose, stream
from fleetlabel.engine.synth.world_config import WorldConfig
from fleetlabel.geometry.arrays import F64, Bool

BLOCK_GROUP, STRETCH_GROUP = 0, 1
ZEBRA_M = 8.5  # from a junction's middle to its crossing
ZEBRA_HALF_M = 2.0
STANDING_M = 4.05  # from the kerb to people who stand
_PITCH_M = 6.6  # of parking places
_GRID_S = 0.2
PER_PLACE = 1000  # object ids of a block or a stretch
_TRIES = 20  # to fit a car's course into the traffic
_TURN_RADIUS_M = 6.5
_TURN_MPS = 3.4


class Traffic:
    """Everything that moves or parks along a road."""

    def __init__(self, config: WorldConfig, road: Road, ego: Profile, reach_m: float) -> None:
        self._config, self._road, self._ego, self._reach_m = config, road, ego, reach_m
        until_s = float(ego.start_s[-1] + ego.duration_s[-1])
        self.lanes: tuple[Lane, ...] = lanes_of(road, config, until_s)
        self._junctions = road.junctions()
        self._speeds = border_speeds(road, config.seed, 0, 1.0)
        self.block = lru_cache(maxsize=32)(self._plan_block)
        self.stretch = lru_cache(maxsize=16)(self._plan_stretch)

    def stretches(self, low_m: float, high_m: float) -> range:
        """Stretches between junctions that touch an interval of the road."""
        middle = (self._junctions + 0.5) * BLOCK_M
        first = int(np.searchsorted(middle, low_m - BLOCK_M)) - 1
        last = int(np.searchsorted(middle, high_m + BLOCK_M))
        return range(max(first, 0), min(last, middle.size - 1))

    def crossing_m(self, block: int) -> float | None:
        """Where people cross the road in a block, along the road."""
        middle = (block + 0.5) * BLOCK_M
        if self._road.junction[block]:
            return middle + ZEBRA_M
        draw = stream(self._config.seed, Purpose.PEOPLE, block).random(2)
        return middle + 50.0 * (draw[1] - 0.5) if draw[0] < 0.6 else None

    def _plan_block(self, block: int) -> Planned:
        parked, parked_places = self._parked(block)
        standing, standing_places = self._standing(block)
        crowd = join(
            [parked, standing], [np.arange(parked.object_id.size), np.arange(standing.object_id.size)]
        )
        still = Places(
            *(
                np.concatenate(pair)
                for pair in zip(columns(parked_places), columns(standing_places), strict=True)
            )
        )
        crossing, courses = self._crossing(block, crowd.object_id.size)
        every = join([crowd, crossing], [np.arange(crowd.object_id.size), np.arange(crossing.object_id.size)])
        return Planned(every, still, courses_of(courses))

    def _parked(self, block: int) -> tuple[Crowd, Places]:
        """Vehicles along the kerb, where there is a parking lane, no junction and no crossing, and room in bends."""
        rng = stream(self._config.seed, Purpose.PARKED, block)
        count = int(BLOCK_M / _PITCH_M)
        crossing_m = self.crossing_m(block)
        side = np.repeat([-1, 1], count)
        edge = np.array([self._road.cross_section.edge_m(int(value)) for value in side])
        s = block * BLOCK_M + np.tile((np.arange(count) + 0.5) * (BLOCK_M / count), 2)
        d = side * (edge + CYCLE_LANE_M + PARKING_M / 2)
        draw = rng.random((2 * count, 5))
        room = 1.0 - self._road.at(s).curvature_per_m * d
        free = (
            np.repeat(self._road.parking[block], count) & (room > 0.88) & (draw[:, 0] < self._config.parked)
        )
        if self._road.junction[block]:
            free &= np.abs(s - (block + 0.5) * BLOCK_M) > 17.0
        if crossing_m is not None:
            free &= np.abs(s - crossing_m) > 8.0
        truck = free & (draw[:, 1] < 0.16)
        follower = np.concatenate([[False], truck[:-1]]) & (np.arange(2 * count) % count > 0)
        truck &= ~follower & (np.arange(2 * count) % count < count - 1)  # a truck takes two places
        truck &= ~np.concatenate([[False], truck[:-1]])
        room_after = np.concatenate([room[1:], [0.0]]) > 0.88
        near_clear = np.concatenate([np.abs(np.diff(s)), [0.0]]) < BLOCK_M / count + 1e-6
        truck &= room_after & near_clear & self._clear_of_crossings(block, s + 0.5 * BLOCK_M / count, 12.0)
        taken_by_truck = np.concatenate([[False], truck[:-1]])
        free &= ~taken_by_truck
        rows = np.flatnonzero(free)
        class_id = np.where(truck[rows], TRUCK, CAR).astype(np.int16)
        crowd = draw_crowd(rng, _ids(BLOCK_GROUP, block, 0, rows.size), class_id, largest_m=9.3)
        jitter = draw[rows, 2:] - 0.5
        slack = np.maximum(
            np.where(truck[rows], 2.0, 1.0) * BLOCK_M / count * 0.9 - crowd.size_lwh_m[:, 0] - 0.5, 0
        )
        yaw = np.where(side[rows] > 0, np.pi, 0.0) + 0.04 * jitter[:, 0]
        return crowd, still_places(
            s[rows] + np.where(truck[rows], 0.5 * BLOCK_M / count, 0.0) + slack * jitter[:, 1],
            d[rows] + 0.12 * jitter[:, 2],
            yaw,
        )

    def _clear_of_crossings(self, block: int, s_m: F64, gap_m: float) -> Bool:
        clear = np.ones(s_m.shape, dtype=np.bool_)
        if self._road.junction[block]:
            clear &= np.abs(s_m - (block + 0.5) * BLOCK_M) > gap_m + 10.0
        crossing_m = self.crossing_m(block)
        if crossing_m is not None:
            clear &= np.abs(s_m - crossing_m) > gap_m
        return clear

    def _standing(self, block: int) -> tuple[Crowd, Places]:
        """People who stand at the outer edge of the pavements, alone or two and two."""
        rng = stream(self._config.seed, Purpose.PEOPLE, block, 1)
        draw = rng.random((4, 4))
        side = np.where(draw[:, 0] < 0.5, -1, 1)
        s = block * BLOCK_M + 6.0 + np.arange(4) * 20.0 + 6.0 * draw[:, 1]
        here = (draw[:, 2] < 0.6 * self._config.people) & self._clear_of_crossings(block, s, 4.5)
        pair = here & (draw[:, 3] < 0.4)
        kerb = np.array([self._road.cross_section.kerb_m(int(value)) for value in side])
        d = side * (kerb + STANDING_M)
        apart = 1.45 / (1.0 - self._road.at(s).curvature_per_m * d)  # as far on the inside of a bend
        s = np.concatenate([s[here], (s + apart)[pair]])
        yaw = np.where(pair, 0.0, 2.0 * np.pi * draw[:, 3])
        crowd = draw_crowd(
            rng, _ids(BLOCK_GROUP, block, 100, s.size), np.full(s.size, PEDESTRIAN, dtype=np.int16)
        )
        return crowd, still_places(
            s,
            np.concatenate([d[here], d[pair]]),
            np.concatenate([yaw[here], np.full(int(pair.sum()), np.pi)]),
        )

    def _crossing(self, block: int, first: int) -> tuple[Crowd, tuple[Course, ...]]:
        """People who wait at the crossing and walk over when nothing comes; where nothing fits they keep waiting.

        Who waits is out of everybody's way, and only their walk over has to be clear.
        """
        rng = stream(self._config.seed, Purpose.PEOPLE, block, 2)
        crossing_m = self.crossing_m(block)
        wanted = 0 if crossing_m is None else int(rng.binomial(3, self._config.people))
        crowd = draw_crowd(
            rng, _ids(BLOCK_GROUP, block, 200, wanted), np.full(wanted, PEDESTRIAN, dtype=np.int16)
        )
        if wanted == 0 or crossing_m is None:
            return crowd, ()
        times = self._times(block, block)
        others = self._others(times, crossing_m - 4.0, crossing_m + 4.0)
        others += self._joining_near(times, crossing_m)
        passing_s = self._ego.time_bounds(crossing_m, crossing_m)[0]
        courses: list[Course] = []
        for row in range(wanted):
            s_m, side = crossing_m + 1.3 * (row - 1), -1 if rng.random() < 0.6 else 1
            size = crowd.size_lwh_m[row] + np.array([1.4, 0.9, 0.0])
            for start_s in [*(passing_s + rng.uniform(-12.0, 8.0, 12)).tolist(), times[-1] + 60.0]:
                course = self._walk_over(s_m, side, start_s, float(1.2 + 0.3 * rng.random()))
                walks = (times > start_s - 1.0) & (times < _end_s(course) + 1.0)
                meanwhile = [(other[:, walks], sizes) for other, sizes in others]
                if _is_clear(courses_of([course]).at(times[walks]), size, meanwhile):
                    break
            courses.append(course)
        return crowd, tuple(courses)

    def _walk_over(self, s_m: float, side: int, start_s: float, speed: float) -> Course:
        """Across the whole road from one pavement's outer edge to the other's, from standing to standing."""
        section = self._road.cross_section
        start = side * (section.kerb_m(side) + STANDING_M)
        width = abs(start) + section.kerb_m(-side) + STANDING_M
        pose = np.array([[s_m, start, -side * np.pi / 2, 0.0]])
        profile = profile_through(
            start_s, 0.0, [(0.8, 0.0, speed), (width - 1.6, speed, speed), (0.8, speed, 0.0)]
        )
        return Course(np.zeros(1), pose, profile)

    def _plan_stretch(self, stretch: int) -> Planned:
        """Cars that turn into the ego's lane at one junction, drive ahead of it or behind it, and turn off at the next.

        Each is tried at a few distances from the ego vehicle.
        """
        rng = stream(self._config.seed, Purpose.JOINING, stretch)
        first, last = int(self._junctions[stretch]), int(self._junctions[stretch + 1])
        wanted = int(rng.binomial(4, self._config.traffic))
        class_id = np.where(rng.random(wanted) < 0.2, TRUCK, CAR).astype(np.int16)
        crowd = draw_crowd(rng, _ids(STRETCH_GROUP, stretch, 0, wanted), class_id, largest_m=9.3)
        nowhere = still_places(np.zeros(0), np.zeros(0), np.zeros(0))
        if not (self._road.side_streets[first, 0] and self._road.side_streets[last, 0]) or wanted == 0:
            return Planned(join([crowd], [np.zeros(0, dtype=np.int64)]), nowhere, courses_of(()))
        times = self._times(first, last)
        ends = [(block + 0.5) * BLOCK_M for block in (first, last)]
        others = [other for end in ends for other in self._others(times, end - 16.0, end + 16.0)]
        kept: list[int] = []
        courses: list[Course] = []
        for row in range(wanted):
            ahead = -1.0 if row % 2 == 0 else 1.0
            for _ in range(_TRIES):
                course = self._join_and_leave(
                    first, last, ahead * float(rng.uniform(2.5, 13.0)), rng.random(2)
                )
                places = courses_of([course]).at(times)
                if _is_clear(places, crowd.size_lwh_m[row] + np.array([5.0, 0.6, 0.0]), others):
                    others.append((_as_columns(places), crowd.size_lwh_m[row : row + 1]))
                    kept.append(row)
                    courses.append(course)
                    break
        return Planned(join([crowd], [np.array(kept, dtype=np.int64)]), nowhere, courses_of(courses))

    def _join_and_leave(self, first: int, last: int, after_ego_s: float, draw: F64) -> Course:
        """A course into the ego's lane, some seconds before or after the ego vehicle passes, and out of it again."""
        r, wall = _TURN_RADIUS_M, self._road.cross_section.wall_m(-1)
        arc, kerb_d = 0.5 * np.pi * r, EGO_LANE_M - r
        start_d, stop_d = -(wall + 6.0 + 12.0 * draw[0]), -(wall + 16.0 + 45.0 * draw[1])
        lane_in = (first + 0.5) * BLOCK_M + SIDE_STREET_HALF_M / 2 + r
        lane_out = (last + 0.5) * BLOCK_M - SIDE_STREET_HALF_M / 2 - r
        lengths = np.array([kerb_d - start_d, arc, lane_out - lane_in, arc, kerb_d - stop_d])
        pose = np.array(
            [
                [lane_in - r, start_d, np.pi / 2, 0.0],
                [lane_in - r, kerb_d, np.pi / 2, -1.0 / r],
                [lane_in, EGO_LANE_M, 0.0, 0.0],
                [lane_out, EGO_LANE_M, 0.0, -1.0 / r],
                [lane_out + r, kerb_d, -np.pi / 2, 0.0],
            ]
        )
        borders = np.arange(first + 1, last + 1)
        places = np.concatenate([[lane_in], borders * BLOCK_M, [lane_out]])
        speeds = np.concatenate([[_TURN_MPS], self._speeds[borders], [_TURN_MPS]])
        legs = [(lengths[0], 0.0, _TURN_MPS), (arc, _TURN_MPS, _TURN_MPS)]
        legs += list(zip(np.diff(places), speeds[:-1], speeds[1:], strict=True))
        legs += [
            (arc, _TURN_MPS, _TURN_MPS),
            (0.5 * lengths[4], _TURN_MPS, 6.0),
            (0.5 * lengths[4], 6.0, 0.0),
        ]
        until_lane_s = 2.0 * lengths[0] / _TURN_MPS + arc / _TURN_MPS
        start_s = self._ego_at(lane_in) + after_ego_s - until_lane_s
        return Course(
            np.concatenate([[0.0], np.cumsum(lengths)[:-1]]), pose, profile_through(start_s, 0.0, legs)
        )

    def _ego_at(self, s_m: float) -> float:
        """When the ego vehicle passes a place, to a tenth of a second or so."""
        early, late = self._ego.time_bounds(s_m, s_m)
        grid = np.linspace(early, late, 64)
        return float(np.interp(s_m, self._ego.at(grid)[0], grid))

    def _times(self, first: int, last: int) -> F64:
        """Times (T,) at which any of some blocks is near the ego vehicle, however soon the drive ends."""
        low, high = first * BLOCK_M - self._reach_m, (last + 1) * BLOCK_M + self._reach_m
        start = max(self._ego.time_bounds(low, low)[0], -1.0)
        stop = self._ego.time_bounds(high, high)[1]
        return np.arange(start, max(stop, start) + 2.0 * _GRID_S, _GRID_S)

    def _others(self, times: F64, low_m: float, high_m: float) -> list[tuple[F64, F64]]:
        """Places (3, T, K) and sizes (K, 3) of what passes a part of the road: the ego vehicle and the lanes."""
        s = self._ego.at(times)[0][:, None] + EGO_CENTER_M
        ego = np.stack([s, np.full_like(s, EGO_LANE_M), np.zeros_like(s)])
        others = [(ego, np.array([[EGO_LENGTH_M, EGO_WIDTH_M, 1.6]]))]
        for lane in self.lanes:
            crowds, places = lane.near(times, low_m, high_m)
            size = np.concatenate([crowd.size_lwh_m for crowd in crowds])
            passing = ((places.s_m > low_m - 8.0) & (places.s_m < high_m + 8.0)).any(axis=0)
            others.append((_as_columns(places)[:, :, passing], size[passing]))
        return others

    def _joining_near(self, times: F64, s_m: float) -> list[tuple[F64, F64]]:
        found = []
        for stretch in self.stretches(s_m, s_m):
            planned = self.stretch(stretch)
            if planned.courses.count:
                found.append((_as_columns(planned.courses.at(times)), planned.crowd.size_lwh_m))
        return found


def _end_s(course: Course) -> float:
    """When whoever follows a course has arrived."""
    return float(course.profile.start_s[-1] + course.profile.duration_s[-1])


def _ids(group: int, number: int, first: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return group * ID_STRIDE + number * PER_PLACE + first + np.arange(count, dtype=np.int64)


def _as_columns(places: Places) -> F64:
    """(3, T, K) s, d, heading."""
    stacked = np.stack([places.s_m, places.d_m, places.yaw_rad])
    return stacked if stacked.ndim == 3 else stacked[:, :, None]


def _is_clear(places: Places, size_lwh_m: F64, others: list[tuple[F64, F64]]) -> bool:
    """Whether a rectangle at places (T,) never meets any other, all of them in road coordinates."""
    mine = _as_columns(places)
    for other, size in others:
        reach = 0.5 * (np.hypot(*size_lwh_m[:2]) + np.hypot(size[:, 0], size[:, 1]))
        near = np.hypot(other[0] - mine[0], other[1] - mine[1]) < reach
        time, row = np.nonzero(near)
        if time.size and bool(
            _meet(mine[:, time, 0], size_lwh_m[None, :2], other[:, time, row], size[row, :2]).any()
        ):
            return False
    return True


def _meet(a: F64, a_size: F64, b: F64, b_size: F64) -> Bool:
    """Whether rectangles (3, N) of sizes (N, 2) overlap, pair by pair: the separating axis theorem."""
    between, turned = b[:2] - a[:2], b[2] - a[2]
    cos, sin = np.abs(np.cos(turned)), np.abs(np.sin(turned))
    meet = np.ones(a.shape[1], dtype=np.bool_)
    for yaw, own, other in ((a[2], a_size, b_size), (b[2], b_size, a_size)):
        along = np.abs(between[0] * np.cos(yaw) + between[1] * np.sin(yaw))
        across = np.abs(between[1] * np.cos(yaw) - between[0] * np.sin(yaw))
        meet &= 2.0 * along < own[:, 0] + other[:, 0] * cos + other[:, 1] * sin
        meet &= 2.0 * across < own[:, 1] + other[:, 0] * sin + other[:, 1] * cos
    return meet
