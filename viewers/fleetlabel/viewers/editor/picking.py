"""What lies under the pointer in the perspective view: cuboids and points that a ray meets."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F64
from fleetlabel.model.boxes import Boxes3D


def cuboid_on_ray(boxes: Boxes3D, origin_m: F64, direction: F64, margin_m: float = 0.1) -> int | None:
    """Row of the first cuboid that a ray meets, None if it meets none (slab method, Kay & Kajiya 1986)."""
    if not len(boxes):
        return None
    box_from_world = np.swapaxes(quaternion.to_matrix(boxes.q_wxyz), 1, 2)
    origin = np.einsum("nij,nj->ni", box_from_world, origin_m - boxes.center_m)
    way = box_from_world @ direction
    half = 0.5 * boxes.size_lwh_m + margin_m
    with np.errstate(divide="ignore", invalid="ignore"):
        one, two = (-half - origin) / way, (half - origin) / way
    enter = np.nanmax(np.minimum(one, two), axis=1)
    leave = np.nanmin(np.maximum(one, two), axis=1)
    parallel_outside = np.any((way == 0) & (np.abs(origin) > half), axis=1)
    met = (enter <= leave) & (leave > 0) & ~parallel_outside
    if not met.any():
        return None
    return int(np.argmin(np.where(met, np.maximum(enter, 0.0), np.inf)))


def point_on_ray(points_m: F64, origin_m: F64, direction: F64, tangent: float = 0.012) -> F64 | None:
    """The nearest point (3,) within a narrow cone around a ray; None if there is none."""
    off = points_m - origin_m
    along = off @ direction
    ahead = along > 0.5
    across = np.linalg.norm(off - along[:, None] * direction, axis=1)
    hit = ahead & (across <= tangent * along)
    if not hit.any():
        return None
    rows = np.flatnonzero(hit)
    near = rows[along[rows] <= along[rows].min() + 1.0]
    point: F64 = points_m[near[int(np.argmin(across[near] / along[near]))]]
    return point


def ground_on_ray(origin_m: F64, direction: F64, height_m: float) -> F64 | None:
    """Where a ray meets a horizontal plane; None if it does not."""
    if direction[2] >= -1e-6:
        return None
    point: F64 = origin_m + direction * (height_m - origin_m[2]) / direction[2]
    return point
