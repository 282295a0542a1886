"""The synthetic world: road, scenery, traffic and light of one seed, ready for the sensors."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from fleetlabel.engine.synth.courses import Planned, merge
from fleetlabel.engine.synth.crowd import PEDESTRIAN, Crowd, Places, columns, join
from fleetlabel.engine.synth.lanes import FIRST_LANE_GROUP, ID_STRIDE
from fleetlabel.engine.synth.light import light_of
from fleetlabel.engine.synth.road import BLOCK_M, MAX_HEADING_RAD, Road, build_road
from fleetlabel.engine.synth.route import EGO_LANE_M, Profile, ego_profile
from fleetlabel.engine.synth.scene import Actors, Mesh
from fleetlabel.engine.synth.scenery import block_mesh
from fleetlabel.engine.synth.shapes_people import STANDING
from fleetlabel.engine.synth.traffic import BLOCK_GROUP, PER_PLACE, Traffic
from fleetlabel.engine.synth.world_config import WorldConfig
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.model.errors import UsageError

_TOP_SPEED_MPS = 14.0
_PLANNED_BLOCKS = 8  # two junctions are never farther apart
_SAMPLE_S = 0.1
_CLOSING_MPS = 32.0  # faster than any object nears the ego vehicle
_WALKING_MPS = 0.15  # below it a person stands


class World:
    """A :class:`~fleetlabel.engine.synth.scene.Scene` made of a seed and a few densities.

    Memory is bounded by what is near the ego vehicle, but for some numbers per 80 m of road.
    """

    def __init__(self, config: WorldConfig) -> None:
        """A world for a drive of ``config.duration_s``."""
        self.config = config
        self.light = light_of(config.seed, config.light)
        # What is within range is within this distance along the road, however it winds.
        self._reach_m = config.range_m / float(np.cos(MAX_HEADING_RAD)) + 20.0
        reach = int(np.ceil(self._reach_m / BLOCK_M))
        before = reach + 2
        driven = int(np.ceil(_TOP_SPEED_MPS * (config.duration_s + 5.0) / BLOCK_M))
        # What is near in the end is planned to the next junction, and until the ego vehicle would be past it.
        self._road: Road = build_road(config.seed, before + driven + 2 * reach + _PLANNED_BLOCKS)
        self._ego: Profile = ego_profile(self._road, config.seed, before)
        self._traffic = Traffic(config, self._road, self._ego, self._reach_m)
        self._planned = lru_cache(maxsize=8)(self._merged)
        self._meshes = lru_cache(maxsize=24)(self._block_mesh)

    def world_from_ego(self, timestamp_ns: I64) -> F64:
        """True ego poses (N, 4, 4); the ego origin is on the ground below the middle of the rear axle."""
        along = self._ego.at(_seconds(timestamp_ns))[0]
        return self._poses(
            along, np.full(along.shape, EGO_LANE_M), np.zeros(along.shape), np.zeros(along.shape)
        )

    def actors(self, timestamp_ns: int) -> Actors:
        """Objects within range of the ego vehicle at a time, sorted by id."""
        time = np.array([timestamp_ns * 1e-9])
        crowds, places = self._near(time)
        here = Places(*(column[0] for column in columns(places)))
        center, heading = self._centers(here)
        near = self._distance(time, center)[0] <= self.config.range_m
        splits = np.cumsum([crowd.object_id.size for crowd in crowds])[:-1]
        crowd = join(crowds, np.split(near, splits))
        order = np.argsort(crowd.object_id)
        crowd = join([crowd], [order])
        here = Places(*(column[near][order] for column in columns(here)))
        size = crowd.size_lwh_m
        return Actors(
            object_id=crowd.object_id,
            class_id=crowd.class_id,
            mesh=_meshes(crowd, here),
            center_m=np.concatenate([center[near][order], 0.5 * size[:, 2:]], axis=1),
            q_wxyz=quaternion.from_yaw(heading[near][order]),
            size_lwh_m=size,
            velocity_mps=self._velocity(here),
            tints_rgb=crowd.tints_rgb,
        )

    def actors_between(self, start_ns: int, stop_ns: int) -> I64:
        """Ids (K,) of objects within range at any time of an interval, sorted.

        Looked up every tenth of a second, with a margin for what may happen in between: a few objects that stay just
        out of range are named too.
        """
        count = max(int(np.ceil((stop_ns - start_ns) * 1e-9 / _SAMPLE_S)), 1) + 1
        times = np.linspace(start_ns * 1e-9, stop_ns * 1e-9, count)
        crowds, places = self._near(times)
        limit = self.config.range_m + 0.5 * _SAMPLE_S * _CLOSING_MPS
        near = self._distance(times, self._centers(places)[0]) <= limit
        return np.unique(np.concatenate([crowd.object_id for crowd in crowds])[near.any(axis=0)])

    def poses(self, object_id: int, timestamp_ns: I64) -> F64:
        """World-from-object transforms (N, 4, 4) of one object at times around which it exists.

        Raises:
            UsageError: there is no such object in this world.
        """
        time = _seconds(timestamp_ns)
        group, number = divmod(int(object_id), ID_STRIDE)
        if group >= FIRST_LANE_GROUP + len(self._traffic.lanes) or group < 0:
            raise _unknown(object_id)
        if group >= FIRST_LANE_GROUP:
            crowd, row, places = self._traffic.lanes[group - FIRST_LANE_GROUP].one(object_id, time)
        else:
            plan = self._traffic.block if group == BLOCK_GROUP else self._traffic.stretch
            planned = plan(number // PER_PLACE)
            crowd = planned.crowd
            row = int(np.flatnonzero(crowd.object_id == object_id)[0])
            places = planned.one(row, time)
        height = np.full(time.shape, 0.5 * crowd.size_lwh_m[row, 2])
        where = np.stack([places.s_m, places.d_m, places.yaw_rad, height])
        if len(time) and np.all(where == where[:, :1]):  # one pose for all times
            return np.repeat(self._poses(*where[:, :1]), len(time), axis=0)
        return self._poses(*where)

    def blocks_near(self, place_m: F64) -> tuple[int, ...]:
        """Blocks of scenery within range of a place (2 or 3,), sorted."""
        middle = 0.5 * (self._road.start_xy_m[1:] + self._road.start_xy_m[:-1])
        away = np.linalg.norm(middle - np.asarray(place_m)[:2], axis=1)
        return tuple(np.flatnonzero(away <= self.config.range_m + 0.5 * BLOCK_M).tolist())

    def block(self, number: int) -> Mesh:
        """Ground, buildings, poles and trees of one block, vertices in the world; cached for a few blocks."""
        if not 0 <= number < self._road.turn_rad.size:
            raise UsageError(f"block {number} is not one of the road's 0 to {self._road.turn_rad.size - 1}")
        return self._meshes(number)

    def _block_mesh(self, number: int) -> Mesh:
        return block_mesh(self._road, self.config.seed, number, self._traffic.crossing_m(number))

    def _near(self, times: F64) -> tuple[list[Crowd], Places]:
        """Crowds, K rows in all, and places (T, K) of everything that may be near the ego vehicle at times (T,)."""
        along = self._ego.at(times)[0]
        low, high = float(along.min()) - self._reach_m, float(along.max()) + self._reach_m
        planned = self._planned(
            max(int(low // BLOCK_M), 0), min(int(high // BLOCK_M), self._road.turn_rad.size - 1)
        )
        crowds, places = [planned.crowd], [planned.at(times)]
        for lane in self._traffic.lanes:
            found, at = lane.near(times, low, high)
            crowds += found
            places.append(at)
        return crowds, Places(
            *(np.concatenate(each, axis=1) for each in zip(*map(columns, places), strict=True))
        )

    def _merged(self, first: int, last: int) -> Planned:
        """What is planned for some blocks and the stretches they touch."""
        blocks = [self._traffic.block(block) for block in range(first, last + 1)]
        stretches = self._traffic.stretches(first * BLOCK_M, (last + 1) * BLOCK_M)
        return merge(blocks + [self._traffic.stretch(stretch) for stretch in stretches])

    def _centers(self, places: Places) -> tuple[F64, F64]:
        """World places (..., 2) and headings (...)."""
        frames = self._road.at(places.s_m)
        left = np.stack([-np.sin(frames.heading_rad), np.cos(frames.heading_rad)], axis=-1)
        return frames.xy_m + places.d_m[..., None] * left, frames.heading_rad + places.yaw_rad

    def _velocity(self, places: Places) -> F64:
        frames = self._road.at(places.s_m)
        cos, sin = np.cos(frames.heading_rad), np.sin(frames.heading_rad)
        along = places.s_mps * (1.0 - frames.curvature_per_m * places.d_m)
        return np.stack(
            [along * cos - places.d_mps * sin, along * sin + places.d_mps * cos, np.zeros(along.shape)],
            axis=-1,
        )

    def _distance(self, times: F64, xy_m: F64) -> F64:
        """Distances (T, ...) of world places (..., 2) or (T, K, 2) from the ego vehicle."""
        along = self._ego.at(times)[0]
        ego = self._road.world(along, np.full(along.shape, EGO_LANE_M))
        away: F64 = np.linalg.norm(xy_m - ego[:, None, :], axis=-1)
        return away

    def _poses(self, s_m: F64, d_m: F64, yaw_rad: F64, z_m: F64) -> F64:
        frames = self._road.at(s_m)
        left = np.stack([-np.sin(frames.heading_rad), np.cos(frames.heading_rad)], axis=-1)
        place = np.concatenate([frames.xy_m + d_m[:, None] * left, z_m[:, None]], axis=1)
        rotation = quaternion.to_matrix(quaternion.from_yaw(frames.heading_rad + yaw_rad))
        return se3.transform(rotation, place)


def _meshes(crowd: Crowd, places: Places) -> tuple[Mesh, ...]:
    """Each object's mesh: of its movement's phase, or standing."""
    speed = np.hypot(places.s_mps, places.d_mps)
    meshes = []
    for row, model in enumerate(crowd.models):
        if crowd.class_id[row] == PEDESTRIAN and speed[row] < _WALKING_MPS:
            meshes.append(model.meshes[STANDING])
            continue
        steps = len(model.meshes) - (crowd.class_id[row] == PEDESTRIAN)
        meshes.append(model.meshes[int(np.floor(places.walked_m[row] / model.phase_m * steps)) % steps])
    return tuple(meshes)


def _unknown(object_id: int) -> UsageError:
    return UsageError(f"no object {object_id} in this world: take ids from actors() or actors_between()")


def _seconds(timestamp_ns: I64) -> F64:
    seconds: F64 = np.asarray(timestamp_ns, dtype=np.int64).astype(np.float64) * 1e-9
    return seconds
