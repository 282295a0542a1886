"""A spinning lidar: every beam at its own time, from where the vehicle then is, onto objects where they then are.

A turn is cut into slices; in a slice an object has one mesh (a pedestrian's stride stands still for some 12 ms), but
each of its points is measured at the pose that the object has at that point's own time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.synth.raycast import Casters, MeshCaster, enters
from fleetlabel.engine.synth.scene import Material, Scene
from fleetlabel.engine.synth.sight import SCENERY, SKY
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F32, F64, I32, I64, U8, Bool
from fleetlabel.geometry.compiled import kernel

MAX_RANGE_M = 100.0
MIN_RANGE_M = 0.9
_SLICES = 8
_MARGIN_M = 1e-3

# Share of the pulse that comes back from a surface hit squarely, by material.
_REFLECTIVITY: dict[Material, float] = {
    Material.ASPHALT: 0.14,
    Material.MARKING: 0.55,
    Material.PAVEMENT: 0.28,
    Material.GRASS: 0.32,
    Material.FACADE: 0.38,
    Material.WINDOW: 0.05,
    Material.ROOF: 0.25,
    Material.BARK: 0.25,
    Material.FOLIAGE: 0.40,
    Material.POLE: 0.45,
    Material.PAINT: 0.35,
    Material.GLASS: 0.03,
    Material.RUBBER: 0.05,
    Material.RIM: 0.35,
    Material.HEADLIGHT: 0.60,
    Material.TAILLIGHT: 0.70,
    Material.PLATE: 0.95,
    Material.SKIN: 0.40,
    Material.HAIR: 0.15,
    Material.UPPER_CLOTHES: 0.35,
    Material.LOWER_CLOTHES: 0.25,
    Material.SIGN: 0.95,
    Material.UNDERBODY: 0.05,
}
REFLECTIVITY: F64 = np.array([_REFLECTIVITY[material] for material in Material])
# Most of what falls on a pane goes through it; the rest is seldom enough.
_PANES = (Material.GLASS, Material.WINDOW)
_PANE_KEPT = 0.18
# A return is lost where its echo is weak: half of them at this echo.
_HALF_ECHO = 1.2e-5
_LOST_ANYWAY = 0.004


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """Returns of one turn of a lidar, in the order of firing.

    Attributes:
        points: (P, 4) float32 x y z in the sensor frame at each point's own time, intensity 0 to 1.
        offset_ns: (P,) int32 time less the sweep's.
        object_id: (P,) int64, -1 for scenery.
    """

    points: F32
    offset_ns: I32
    object_id: I64


@dataclass(frozen=True, slots=True, eq=False)
class Firing:
    """What a lidar's turn looks like, whenever it is.

    Attributes:
        directions: (C, B, 3) float64 unit rays of each column and beam in the sensor frame.
        offset_ns: (C,) int64 time of each column less the sweep's: the middle of the turn looks ahead.
    """

    directions: F64
    offset_ns: I64

    @classmethod
    def of(cls, elevations_rad: F64, n_columns: int, turn_ns: int) -> Firing:
        """A clockwise turn that begins and ends behind the vehicle."""
        share = (np.arange(n_columns) + 0.5) / n_columns - 0.5
        yaw = -2 * np.pi * share
        flat = np.cos(elevations_rad)
        directions = np.stack(
            [
                np.cos(yaw)[:, None] * flat,
                np.sin(yaw)[:, None] * flat,
                np.broadcast_to(np.sin(elevations_rad), (n_columns, len(flat))),
            ],
            axis=-1,
        )
        return cls(directions, np.round(share * turn_ns).astype(np.int64))


def turn(
    scene: Scene,
    casters: Casters,
    firing: Firing,
    ego_from_lidar: F64,
    time_ns: int,
    range_noise_m: float,
    random: np.random.Generator,
) -> Turn:
    """One turn of a lidar.

    Args:
        ego_from_lidar: (4, 4) where it truly is.
        time_ns: of the sweep, from the start of the drive.
        range_noise_m: standard deviation of the ranges.
        random: of noise and losses.
    """
    column_ns = time_ns + firing.offset_ns
    world_from_lidar = scene.world_from_ego(column_ns) @ ego_from_lidar
    scenery = casters.scenery(world_from_lidar[len(column_ns) // 2, :3, 3])
    rays = np.empty((*firing.directions.shape[:2], 6), dtype=np.float32)
    _world_rays(firing.directions, world_from_lidar, scenery.anchor_m, rays)
    flat = rays.reshape(-1, 6)
    distance, triangle = scenery.caster.first(flat)
    owner = np.where(triangle >= 0, np.int64(SCENERY), np.int64(SKY))
    incidence, material = np.zeros(len(flat), dtype=np.float32), np.zeros(len(flat), dtype=np.uint8)
    _surface(np.arange(len(flat)), flat, triangle, scenery.caster, incidence, material)
    for part in np.array_split(np.arange(len(column_ns)), _SLICES):
        actors = scene.actors(int(column_ns[part].mean()))
        near = _columns_near(
            actors.center_m, actors.size_lwh_m, world_from_lidar[part], firing.directions[part]
        )
        for row in np.flatnonzero(near.any(axis=1)):
            columns = part[near[row]]
            poses = scene.poses(int(actors.object_id[row]), column_ns[columns])
            half = 0.5 * actors.size_lwh_m[row] + _MARGIN_M
            chosen, local = _rays_into_cuboid(
                firing.directions, columns, se3.invert(poses) @ world_from_lidar[columns], half
            )
            caster = casters.mesh(actors.mesh[row])
            own_distance, own_triangle = caster.first(local)
            nearer = own_distance < distance[chosen]
            rows = chosen[nearer]
            distance[rows], owner[rows] = own_distance[nearer], actors.object_id[row]
            _surface(rows, local[nearer], own_triangle[nearer], caster, incidence, material)
    return _returns(firing, distance, owner, incidence, material, range_noise_m, random)


def _returns(
    firing: Firing,
    distance: F32,
    owner: I64,
    incidence: F32,
    material: U8,
    range_noise_m: float,
    random: np.random.Generator,
) -> Turn:
    """What of the hits comes back, with noise."""
    chance = random.random(len(distance))
    noise = random.normal(0.0, 1.0, len(distance)) * range_noise_m
    hit = np.flatnonzero((owner != SKY) & (distance < MAX_RANGE_M) & (distance > MIN_RANGE_M))
    strength = REFLECTIVITY[material[hit]] * (0.15 + 0.85 * incidence[hit])
    echo = strength / np.square(distance[hit].astype(np.float64))
    kept = (1 - _LOST_ANYWAY) * echo / (echo + _HALF_ECHO)
    kept = np.where(np.isin(material[hit], _PANES), kept * _PANE_KEPT, kept)
    back = chance[hit] < kept
    hit, strength = hit[back], strength[back]
    points = np.empty((len(hit), 4), dtype=np.float32)
    measured = distance[hit].astype(np.float64) + noise[hit]
    points[:, :3] = firing.directions.reshape(-1, 3)[hit] * measured[:, None]
    points[:, 3] = np.clip(strength, 0.0, 1.0)
    offset = firing.offset_ns[hit // firing.directions.shape[1]].astype(np.int32)
    return Turn(points, offset, np.where(owner[hit] == SCENERY, -1, owner[hit]))


def _surface(rows: I64, rays: F32, triangle: I32, caster: MeshCaster, incidence: F32, material: U8) -> None:
    """Notes the cosine of incidence and the material of what rays hit."""
    hit = triangle >= 0
    rows, found = rows[hit], triangle[hit]
    incidence[rows] = np.abs(np.einsum("ni,ni->n", rays[hit, 3:], caster.normal[found]))
    material[rows] = caster.material[found]


def _columns_near(center: F64, size: F64, world_from_lidar: F64, directions: F64) -> Bool:
    """Which columns (K, C) may hit which objects: those whose plane comes near the cuboid's ball.

    Objects move by less than a metre in a slice, for which the ball is grown.
    """
    middle = world_from_lidar[len(world_from_lidar) // 2]
    away = center[:, :2] - middle[:2, 3]
    distance = np.hypot(away[:, 0], away[:, 1])
    radius = 0.5 * np.linalg.norm(size, axis=1) + 1.0
    spread = np.where(
        distance > radius, np.arcsin(np.minimum(1.0, radius / np.maximum(distance, 1e-9))), np.pi
    )
    level = np.einsum("cij,cj->ci", world_from_lidar[:, :3, :3], directions[:, directions.shape[1] // 2])
    heading = np.arctan2(level[:, 1], level[:, 0])
    apart = np.abs((np.arctan2(away[:, 1], away[:, 0])[:, None] - heading + np.pi) % (2 * np.pi) - np.pi)
    # A lidar that is not quite upright swings a few degrees off its plane: steep beams are off by their tilt.
    near: Bool = (apart <= spread[:, None] + 0.05) & (distance < MAX_RANGE_M + radius)[:, None]
    return near


def _rays_into_cuboid(directions: F64, columns: I64, object_from_lidar: F64, half_m: F64) -> tuple[I64, F32]:
    """Rays that enter a cuboid: their numbers (M,) in the turn, and themselves (M, 6) in the object's frame."""
    most = len(columns) * directions.shape[1]
    chosen, rays = np.empty(most, dtype=np.int64), np.empty((most, 6), dtype=np.float32)
    n = _select(directions, columns, object_from_lidar, half_m, chosen, rays)
    return chosen[:n], rays[:n]


@kernel
def _world_rays(directions: F64, world_from_lidar: F64, anchor: F64, rays: F32) -> None:
    for c in range(directions.shape[0]):
        m = world_from_lidar[c]
        for b in range(directions.shape[1]):
            d = directions[c, b]
            for axis in range(3):
                rays[c, b, axis] = m[axis, 3] - anchor[axis]
                rays[c, b, 3 + axis] = m[axis, 0] * d[0] + m[axis, 1] * d[1] + m[axis, 2] * d[2]


@kernel
def _select(directions: F64, columns: I64, object_from_lidar: F64, half: F64, chosen: I64, rays: F32) -> int:
    beams = directions.shape[1]
    n = 0
    for i in range(len(columns)):
        m = object_from_lidar[i]
        for b in range(beams):
            d = directions[columns[i], b]
            dx = m[0, 0] * d[0] + m[0, 1] * d[1] + m[0, 2] * d[2]
            dy = m[1, 0] * d[0] + m[1, 1] * d[1] + m[1, 2] * d[2]
            dz = m[2, 0] * d[0] + m[2, 1] * d[1] + m[2, 2] * d[2]
            if enters(m[0, 3], m[1, 3], m[2, 3], dx, dy, dz, half):
                chosen[n] = columns[i] * beams + b
                rays[n, 0], rays[n, 1], rays[n, 2] = m[0, 3], m[1, 3], m[2, 3]
                rays[n, 3], rays[n, 4], rays[n, 5] = dx, dy, dz
                n += 1
    return n
