"""What tests of synthetic drives measure with: ground plans by shapely, motion by differences of poses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely

from fleetlabel.engine.synth.scene import Actors
from fleetlabel.engine.synth.world import World
from fleetlabel.engine.synth.world_config import WorldConfig

EGO_SIZE_M = np.array([4.6, 1.9, 1.6])
EGO_CENTER_M = 1.3  # ahead of the rear axle
FRAME_NS = 100_000_000


@lru_cache(maxsize=8)
def world_of(seed: int, **settings: object) -> World:
    """A world that several tests ask; nothing that is asked may change it."""
    return World(WorldConfig(seed=seed, **settings))


def yaws(q_wxyz: np.ndarray) -> np.ndarray:
    """Headings (K,) of upright objects."""
    assert np.abs(q_wxyz[:, 1:3]).max(initial=0.0) < 1e-12, "everything stands upright"
    return 2.0 * np.arctan2(q_wxyz[:, 3], q_wxyz[:, 0])


def ground_plans(center_m: np.ndarray, yaw_rad: np.ndarray, size_m: np.ndarray) -> np.ndarray:
    """Polygons (K,) of cuboids."""
    corners = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * 0.5 * size_m[:, None, :2]
    cos, sin = np.cos(yaw_rad)[:, None], np.sin(yaw_rad)[:, None]
    x = center_m[:, None, 0] + cos * corners[..., 0] - sin * corners[..., 1]
    y = center_m[:, None, 1] + sin * corners[..., 0] + cos * corners[..., 1]
    return shapely.polygons(np.stack([x, y], axis=-1))


def actors_plans(actors: Actors, grown_m: float = 0.0) -> np.ndarray:
    """Polygons (K,) of objects, grown on all sides."""
    return ground_plans(actors.center_m, yaws(actors.q_wxyz), actors.size_lwh_m + 2.0 * grown_m)


def ego_plan(world: World, timestamp_ns: int) -> shapely.Polygon:
    """The vehicle's own polygon."""
    pose = world.world_from_ego(np.array([timestamp_ns]))[0]
    center = pose[:3, 3] + EGO_CENTER_M * pose[:3, 0]
    yaw = np.arctan2(pose[1, 0], pose[0, 0])
    return ground_plans(center[None], np.array([yaw]), EGO_SIZE_M[None])[0]


@dataclass(frozen=True)
class Standing:
    """What stands in a block, above the ground: triangles seen from above, and their heights."""

    plans: shapely.STRtree
    low_m: np.ndarray
    houses: shapely.MultiPolygon


@lru_cache(maxsize=64)
def standing(world: World, block: int) -> Standing:
    """Everything in a block that is higher than a kerb; houses as the areas that walls enclose."""
    from fleetlabel.engine.synth.scene import Material

    mesh = world.block(block)
    corners = mesh.vertices_m[mesh.triangles].astype(np.float64)
    high = corners[..., 2].max(axis=1) > 0.06
    flat = shapely.convex_hull(shapely.multipoints(corners[..., :2]))
    walls = high & (mesh.material == Material.FACADE)
    return Standing(
        shapely.STRtree(flat[high]),
        corners[high, :, 2].min(axis=1),
        shapely.multipolygons(shapely.get_parts(shapely.polygonize(_on_a_grid(flat[walls])))),
    )


def _on_a_grid(lines: np.ndarray) -> list[shapely.Geometry]:
    """Lines whose ends meet although they were rounded, each once and in pieces where they cross."""
    return list(shapely.get_parts(shapely.unary_union(shapely.set_precision(lines, 0.01))))


@dataclass(frozen=True)
class Motion:
    """What a way of poses amounts to, level and in the object's own axes, at the middles between poses."""

    forward_mps: np.ndarray
    left_mps: np.ndarray
    turning_radps: np.ndarray
    forward_mps2: np.ndarray
    left_mps2: np.ndarray


def motion(world_from_object: np.ndarray, step_s: float) -> Motion:
    """Motion by differences of poses (N, 4, 4), ``step_s`` apart."""
    xy = world_from_object[:, :2, 3]
    yaw = np.unwrap(np.arctan2(world_from_object[:, 1, 0], world_from_object[:, 0, 0]))
    velocity = np.diff(xy, axis=0) / step_s
    heading = 0.5 * (yaw[1:] + yaw[:-1])
    acceleration = np.diff(velocity, axis=0) / step_s
    return Motion(
        *_in_own_axes(velocity, heading), np.diff(yaw) / step_s, *_in_own_axes(acceleration, yaw[1:-1])
    )


def _in_own_axes(vector: np.ndarray, yaw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cos, sin = np.cos(yaw), np.sin(yaw)
    return vector[:, 0] * cos + vector[:, 1] * sin, vector[:, 1] * cos - vector[:, 0] * sin
