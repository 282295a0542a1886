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
    """Voxels above the road, sorted by cell and place: their order does not depend on that of the points.

    Attributes:
        xyz_m: (V, 3) mean of each voxel's points, level frame.
        height_m: (V,) above the road.
        time_ns: (V,) float64 mean time, less the reference time.
        n_points: (V,) float64 points in each voxel.
        lidar_xy_m: (V, 2) where they were seen from; between the lidars if several saw the voxel.
        cell_ptr: (n_cells * n_cells + 1,) first voxel of each cell of a grid of ``GRID_M``, x by y.
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
    n_cells = int(np.ceil(2 * max_range_m / GRID_M))
    voxels, cell_ptr = _voxelize(
        xyz,
        height,
        (points.timestamp_ns - reference_ns).astype(np.float64),
        points.lidar.astype(np.int64),
        keep,
        se3.apply(level, points.origin_world.reshape(-1, 3)),
        min_height_m,
        max_height_m,
        n_cells,
        max_range_m,
    )
    return ObstacleCloud(
        xyz_m=np.ascontiguousarray(voxels[:, :3]),
        height_m=np.ascontiguousarray(voxels[:, 3]),
        time_ns=np.ascontiguousarray(voxels[:, 4]),
        lidar_xy_m=np.ascontiguousarray(voxels[:, 5:7]),
        n_points=np.ascontiguousarray(voxels[:, 7]),
        cell_ptr=cell_ptr,
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


@kernel
def _voxelize(
    xyz: F64,
    height: F64,
    time_ns: F64,
    lidar: I64,
    source: I64,
    origin: F64,
    min_height: float,
    max_height: float,
    n_cells: int,
    half: float,
) -> tuple[F64, I64]:
    """Voxels (V, 8: x y z, height, time, lidar's x y, number of points) by cell, and the first of each cell.

    Args:
        xyz, height: (P, ...) points; those between ``min_height`` and ``max_height`` count.
        time_ns, lidar: of all points of the sweep; ``source`` (P,) says which of them each point is.
        origin: (L, 3) where the lidars stood.
    """
    n = len(xyz)
    cell = np.full(n, -1, dtype=np.int32)
    start = np.zeros(n_cells * n_cells + 1, dtype=np.int64)
    for p in range(n):
        if min_height < height[p] < max_height:
            i = min(max(int((xyz[p, 0] + half) / GRID_M), 0), n_cells - 1)
            j = min(max(int((xyz[p, 1] + half) / GRID_M), 0), n_cells - 1)
            cell[p] = i * n_cells + j
            start[cell[p] + 1] += 1
    for c in range(n_cells * n_cells):
        start[c + 1] += start[c]
    by_cell = np.empty(start[-1], dtype=np.int64)
    fill = start[:-1].copy()
    for p in range(n):
        if cell[p] >= 0:
            by_cell[fill[cell[p]]] = p
            fill[cell[p]] += 1
    per_side = int(np.ceil(GRID_M / VOXEL_XY_M))
    layers = int(np.ceil((max_height - min_height) / VOXEL_Z_M))
    slot = np.full(per_side * per_side * layers, -1, dtype=np.int64)
    out = np.zeros((start[-1], 8))
    cell_ptr = np.zeros(n_cells * n_cells + 1, dtype=np.int64)
    m = 0
    for c in range(n_cells * n_cells):
        low, high = start[c], start[c + 1]
        if low < high:
            x0, y0 = (c // n_cells) * GRID_M - half, (c % n_cells) * GRID_M - half
            keys = np.empty(high - low, dtype=np.int64)
            for k in range(high - low):
                p = by_cell[low + k]
                a = min(int((xyz[p, 0] - x0) / VOXEL_XY_M), per_side - 1)
                b = min(int((xyz[p, 1] - y0) / VOXEL_XY_M), per_side - 1)
                keys[k] = (a * per_side + b) * layers + int((height[p] - min_height) / VOXEL_Z_M)
                slot[keys[k]] = 0
            for key in np.sort(keys):
                if slot[key] == 0:
                    slot[key] = m + 1
                    m += 1
            for k in range(high - low):
                p = by_cell[low + k]
                row, q = out[slot[keys[k]] - 1], source[p]
                for axis in range(3):
                    row[axis] += xyz[p, axis]
                row[3] += height[p]
                row[4] += time_ns[q]
                row[5] += origin[lidar[q], 0]
                row[6] += origin[lidar[q], 1]
                row[7] += 1.0
            for key in keys:
                slot[key] = -1
        cell_ptr[c + 1] = m
    for v in range(m):
        for column in range(7):
            out[v, column] /= out[v, 7]
    return out[:m], cell_ptr
