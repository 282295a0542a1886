"""Made scenes with known answers: boxes on a plane, a lidar that shoots rays at them, cameras that see them whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fleetlabel.engine.lift import CameraView, LidarPoints, LiftedBoxes, lift_frame
from fleetlabel.geometry import boxes as cuboids
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.ontology import CLASSES

CAMERA = PinholeCamera(1600, 900, 800.0, 800.0, 800.0, 450.0)
FACING = {"front": 0.0, "left": np.pi / 2, "back": np.pi, "right": -np.pi / 2}
LIDAR_HEIGHT_M = 1.8
TIME_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True)
class Thing:
    """Something that stands on the road: a detector names it, unless its name is empty."""

    name: str
    x_m: float
    y_m: float
    yaw: float = 0.0
    size_lwh_m: tuple[float, float, float] = (4.5, 1.9, 1.6)
    above_road_m: float = 0.0


@dataclass(frozen=True)
class World:
    """A road, what stands on it, and the ego vehicle at its origin, looking along x.

    Attributes:
        slope: of the road along x and y.
        world_from_scene: (4, 4) where all of it lies in the world.
    """

    things: tuple[Thing, ...]
    slope: tuple[float, float] = (0.0, 0.0)
    world_from_scene: F64 = field(default_factory=lambda: np.eye(4))
    n_beams: int = 64
    noise_m: float = 0.01

    def moved(self, x_m: float, y_m: float, yaw: float) -> World:
        """The same scene elsewhere in the world."""
        turn = quaternion.to_matrix(quaternion.from_yaw(np.array(yaw)))
        return replace(self, world_from_scene=se3.transform(turn, np.array([x_m, y_m, 0.0])))

    def road_m(self, x: F64 | float, y: F64 | float) -> F64:
        """Height of the road."""
        return np.asarray(self.slope[0] * np.asarray(x) + self.slope[1] * np.asarray(y))

    def cuboids(self) -> tuple[F64, F64, F64]:
        """Centres (N, 3), sizes (N, 3) and orientations (N, 4) of the things, in the scene."""
        size = np.array([thing.size_lwh_m for thing in self.things], dtype=np.float64).reshape(-1, 3)
        xy = np.array([(thing.x_m, thing.y_m) for thing in self.things], dtype=np.float64).reshape(-1, 2)
        above = np.array([thing.above_road_m for thing in self.things], dtype=np.float64)
        z = self.road_m(xy[:, 0], xy[:, 1]) + above + 0.5 * size[:, 2]
        yaw = np.array([thing.yaw for thing in self.things], dtype=np.float64)
        return np.column_stack([xy, z]), size, quaternion.from_yaw(yaw)

    def center_world(self, row: int) -> F64:
        """Centre (3,) of a thing in the world."""
        center: F64 = se3.apply(self.world_from_scene, self.cuboids()[0])[row]
        return center


def scan(world: World, seed: int = 0) -> LidarPoints:
    """Points of one turn of a spinning lidar: every ray ends where it first meets a thing or the road."""
    rng = np.random.default_rng(seed)
    elevation = np.radians(np.linspace(-24.0, 4.0, world.n_beams))
    azimuth = np.radians(np.arange(-180.0, 180.0, 0.25))
    e, a = (grid.ravel() for grid in np.meshgrid(elevation, azimuth, indexing="ij"))
    rays = np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=1)
    origin = np.array([0.0, 0.0, LIDAR_HEIGHT_M])
    depth = _to_road(origin, rays, world)
    for center, size, q_wxyz in zip(*world.cuboids(), strict=True):
        depth = np.minimum(depth, _to_cuboid(origin, rays, center, size, q_wxyz))
    hit = depth < 100.0
    depth = depth[hit] + world.noise_m * rng.standard_normal(np.count_nonzero(hit))
    points = origin + depth[:, None] * rays[hit]
    timestamp = TIME_NS + (a[hit] / (2 * np.pi) * 1e8).astype(np.int64)
    return LidarPoints(
        points_world=se3.apply(world.world_from_scene, points),
        timestamp_ns=timestamp,
        lidar=np.zeros(len(points), dtype=np.int16),
        origin_world=se3.apply(world.world_from_scene, origin[None]),
    )


def look(
    world: World, facing: Sequence[str] = tuple(FACING), grow_px: float = 2.0, score: float = 0.9
) -> list[CameraView]:
    """What a perfect detector sees of the named things in each camera."""
    return [_view(world, FACING[name], grow_px, score) for name in facing]


def lift(
    world: World, views: list[CameraView] | None = None, points: LidarPoints | None = None
) -> LiftedBoxes:
    """Lifts the scene."""
    views = look(world) if views is None else views
    return lift_frame(
        scan(world) if points is None else points, views, world.world_from_scene, TIME_NS, CLASSES
    )


def nearest(lifted: LiftedBoxes, center_m: F64) -> tuple[int, float]:
    """The lifted box nearest to a place seen from above, and its distance."""
    distance = np.linalg.norm(lifted.center_m[:, :2] - center_m[:2], axis=1)
    return int(distance.argmin()), float(distance.min())


def _to_road(origin: F64, rays: F64, world: World) -> F64:
    fall = rays[:, 2] - rays[:, 0] * world.slope[0] - rays[:, 1] * world.slope[1]
    return np.where(fall < -1e-6, -origin[2] / np.where(fall < -1e-6, fall, -1.0), np.inf)


def _to_cuboid(origin: F64, rays: F64, center: F64, size: F64, q_wxyz: F64) -> F64:
    rotation = quaternion.to_matrix(q_wxyz)
    start, direction = (origin - center) @ rotation, rays @ rotation
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.minimum((-0.5 * size - start) / direction, (0.5 * size - start) / direction).max(axis=1)
        far = np.maximum((-0.5 * size - start) / direction, (0.5 * size - start) / direction).min(axis=1)
    return np.where((near <= far) & (near > 0.0), near, np.inf)


def _view(world: World, yaw: float, grow_px: float, score: float) -> CameraView:
    camera_axes = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])  # from x fwd, y left, z up
    turn = quaternion.to_matrix(quaternion.from_yaw(np.array(-yaw)))
    camera_from_scene = se3.transform(camera_axes @ turn, camera_axes @ turn @ np.array([0.0, 0.0, -1.6]))
    corners = cuboids.corners(*world.cuboids())
    boxes, ids = [], []
    for row, thing in enumerate(world.things):
        box = _outline(se3.apply(camera_from_scene, corners[row]))
        if thing.name and box is not None:
            boxes.append(np.clip(box + grow_px * np.array([-1, -1, 1, 1]), 0, [1600, 900, 1600, 900]))
            ids.append(CLASSES.index(thing.name))
    return CameraView(
        camera=CAMERA,
        camera_from_world=camera_from_scene @ se3.invert(world.world_from_scene),
        timestamp_ns=TIME_NS,
        xyxy_px=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        score=np.full(len(boxes), score),
        class_id=np.array(ids, dtype=np.int64),
    )


def _outline(corners_camera: F64) -> F64 | None:
    """Bounding box of a cuboid's edges, cut at the near plane and at the picture; None if out of sight."""
    ends = []
    for i, j in cuboids.EDGES:
        a, b = corners_camera[i], corners_camera[j]
        if max(a[2], b[2]) < 0.2:
            continue
        near, far = (a, b) if a[2] < b[2] else (b, a)
        if near[2] < 0.2:
            near = near + (far - near) * (0.2 - near[2]) / (far[2] - near[2])
        ends += [near, far]
    if not ends:
        return None
    uv, _ = CAMERA.project(np.array(ends))
    box = np.clip(np.concatenate([uv.min(axis=0), uv.max(axis=0)]), 0.0, [1600.0, 900.0, 1600.0, 900.0])
    return box if box[2] - box[0] > 4 and box[3] - box[1] > 4 else None
