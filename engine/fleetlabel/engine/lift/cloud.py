"""The frame's obstacles: what stands above the road, thinned to voxels, indexed for neighbourhood queries.

Everything happens in the *level* frame: origin and heading of the ego vehicle, z along the world's z. Results there do
not depend on where and how the world frame lies, and heights mean what a road user would call heights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.lift.ground import GroundMap, fit_ground
from fleetlabel.engine.lift.inputs import LidarPoints
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.compiled import kernel

VOXEL_XY_M = 0.1
VOXEL_Z_M = 0.2
GRID_M = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class ObstacleCloud:
    """Voxels above the road, in an order that depends on their places alone.

    Attributes:
        xyz_m: (V, 3) mean of each voxel's points, level frame.
        height_m: (V,) above the road.
        time_ns: (V,) float64 mean time, less the reference time.
        n_points: (V,) float64 points in each voxel.
        lidar_xy_m: (V, 2) where the lidar stood that saw most of the voxel.
        cell_ptr, cell_rows: voxels by cell of a ``n_cells`` x ``n_cells`` grid of ``GRID_M``: compressed rows.
        n_cells: cells along each axis of that grid.
        half_width_m: the grid covers -half_width..half_width.
        ground: the road.
        n_dropped: input points that were not finite.
    """

    xyz_m: F64
    height_m: F64
    time_ns: F64
    n_points: F64
    lidar_xy_m: F64
    cell_ptr: I64
    cell_rows: I64
    n_cells: int
    half_width_m: float
    ground: GroundMap
    n_dropped: int


def level_from_world(world_from_ego: F64) -> F64:
    """(4, 4) into the level frame: the ego vehicle's place and heading, the world's vertical."""
    forward = world_from_ego[:2, 0]
    yaw = np.arctan2(forward[1], forward[0])
    c, s = np.cos(yaw), np.sin(yaw)
    rotation = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
    return se3.transform(rotation, -rotation @ world_from_ego[:3, 3])


def obstacle_cloud(
    points: LidarPoints,
    level: F64,
    reference_ns: int,
    *,
    max_range_m: float,
    min_range_m: float,
    min_height_m: float,
    max_height_m: float,
) -> ObstacleCloud:
    """What stands above the road within ``min_range_m..max_range_m`` of the vehicle and below ``max_height_m``.

    Args:
        points: of all lidars.
        level: (4, 4) level_from_world.
        reference_ns: what ``time_ns`` counts from.
    """
    xyz = np.empty((len(points.points_world), 3))
    keep = np.empty(len(xyz), dtype=np.int64)
    # Offsets first: world coordinates may be large (UTM), and subtracting keeps millimetres.
    anchor = -level[:3, :3].T @ level[:3, 3]
    n, n_dropped = _to_level(
        np.ascontiguousarray(points.points_world, dtype=np.float64),
        level[:3, :3].copy(),
        anchor,
        max_range_m,
        min_range_m,
        xyz,
        keep,
    )
    xyz, keep = xyz[:n], keep[:n]
    ground = fit_ground(xyz, max_range_m)
    height = xyz[:, 2] - ground.at(xyz[:, :2])
    above = np.flatnonzero((height > min_height_m) & (height < max_height_m))
    xyz, height, keep = xyz[above], height[above], keep[above]
    time = (points.timestamp_ns[keep] - reference_ns).astype(np.float64)
    key = _voxel_key(xyz, max_range_m)
    order = np.argsort(key, kind="stable")
    lidar_xy = se3.apply(level, points.origin_world)[:, :2] if len(points.origin_world) else np.zeros((1, 2))
    voxel_xyz, voxel_height, voxel_time, count, lidar = _reduce(
        key[order], order, xyz, height, time, points.lidar[keep].astype(np.int64)
    )
    n_cells = int(np.ceil(2 * max_range_m / GRID_M))
    cell_ptr, cell_rows = _bin(voxel_xyz, max_range_m, n_cells)
    return ObstacleCloud(
        xyz_m=voxel_xyz,
        height_m=voxel_height,
        time_ns=voxel_time,
        n_points=count,
        lidar_xy_m=lidar_xy[lidar],
        cell_ptr=cell_ptr,
        cell_rows=cell_rows,
        n_cells=n_cells,
        half_width_m=max_range_m,
        ground=ground,
        n_dropped=int(n_dropped),
    )


@kernel
def _to_level(
    world: F64, rotation: F64, anchor: F64, max_range: float, min_range: float, out: F64, keep: I64
) -> tuple[int, int]:
    n, dropped = 0, 0
    for p in range(len(world)):
        x, y, z = world[p, 0] - anchor[0], world[p, 1] - anchor[1], world[p, 2] - anchor[2]
        if not (np.isfinite(x) and np.isfinite(y) and np.isfinite(z)):
            dropped += 1
            continue
        planar = x * x + y * y
        if planar > max_range * max_range or planar < min_range * min_range or abs(z) > max_range:
            continue
        for a in range(3):
            out[n, a] = rotation[a, 0] * x + rotation[a, 1] * y + rotation[a, 2] * z
        keep[n] = p
        n += 1
    return n, dropped


def _voxel_key(xyz: F64, half: float) -> I64:
    i = np.floor((xyz[:, 0] + half) / VOXEL_XY_M).astype(np.int64)
    j = np.floor((xyz[:, 1] + half) / VOXEL_XY_M).astype(np.int64)
    k = np.floor((xyz[:, 2] + half) / VOXEL_Z_M).astype(np.int64)
    return (i << 40) | (j << 20) | k


@kernel
def _reduce(
    key: I64, order: I64, xyz: F64, height: F64, time: F64, lidar: I64
) -> tuple[F64, F64, F64, F64, I64]:
    n = 0
    for p in range(len(key)):
        if p == 0 or key[p] != key[p - 1]:
            n += 1
    out_xyz = np.zeros((n, 3))
    out_height = np.zeros(n)
    out_time = np.zeros(n)
    count = np.zeros(n)
    votes = np.zeros((n, 8))
    out_lidar = np.zeros(n, dtype=np.int64)
    v = -1
    for p in range(len(key)):
        if p == 0 or key[p] != key[p - 1]:
            v += 1
        q = order[p]
        for a in range(3):
            out_xyz[v, a] += xyz[q, a]
        out_height[v] += height[q]
        out_time[v] += time[q]
        count[v] += 1.0
        votes[v, min(lidar[q], 7)] += 1.0
    for v in range(n):
        for a in range(3):
            out_xyz[v, a] /= count[v]
        out_height[v] /= count[v]
        out_time[v] /= count[v]
        out_lidar[v] = np.argmax(votes[v])
    return out_xyz, out_height, out_time, count, out_lidar


@kernel
def _bin(xyz: F64, half: float, n_cells: int) -> tuple[I64, I64]:
    ptr = np.zeros(n_cells * n_cells + 1, dtype=np.int64)
    cell = np.empty(len(xyz), dtype=np.int64)
    for v in range(len(xyz)):
        i = min(max(int((xyz[v, 0] + half) / GRID_M), 0), n_cells - 1)
        j = min(max(int((xyz[v, 1] + half) / GRID_M), 0), n_cells - 1)
        cell[v] = i * n_cells + j
        ptr[cell[v] + 1] += 1
    for c in range(n_cells * n_cells):
        ptr[c + 1] += ptr[c]
    rows = np.empty(len(xyz), dtype=np.int64)
    fill = ptr[:-1].copy()
    for v in range(len(xyz)):
        rows[fill[cell[v]]] = v
        fill[cell[v]] += 1
    return ptr, rows
