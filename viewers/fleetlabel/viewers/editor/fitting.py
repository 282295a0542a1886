"""Boxes and points: the ground, the cluster under the pointer, a box around a cluster, faces and headings that fit.

All points are (P, 3) float64 in the world.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import ndimage

from fleetlabel.geometry.arrays import F64
from fleetlabel.viewers.editor.pose import BoxPose

_GROUND_REACH_M, _GROUND_SHARE = 6.0, 3.0  # percent
_ABOVE_GROUND_M = 0.25
_CELL_M = 0.3
_GAP_CELLS = 2  # empty cells that a cluster may jump
_FIT_REACH_M = 0.6  # how far a face looks for points on either side
_FACE_REACH_M, _FACE_GAP_M = 1.5, 0.4
_FEWEST = 5  # points that anything is fitted to
_OUTERMOST = 2.0  # percent of a face's points that may lie outside of it


def ground_height(points_m: F64, xy_m: F64, default_m: float = 0.0) -> float:
    """Height of the ground around a place (2,); ``default_m`` where there are no points."""
    near = np.all(np.abs(points_m[:, :2] - xy_m) <= _GROUND_REACH_M, axis=1)
    z = points_m[near, 2]
    return float(np.percentile(z, _GROUND_SHARE)) if len(z) >= _FEWEST else default_m


def cluster_at(points_m: F64, seed_m: F64, reach_m: float) -> F64:
    """Points above the ground that hang together with those nearest to ``seed_m`` (3,), at most ``reach_m`` away.

    They hang together if their cells, seen from above, touch or nearly do.
    """
    near = points_m[np.all(np.abs(points_m[:, :2] - seed_m[:2]) <= reach_m, axis=1)]
    ground = ground_height(points_m, seed_m[:2], float(seed_m[2]))
    above = near[near[:, 2] > ground + _ABOVE_GROUND_M]
    if not len(above):
        return above
    cell = np.floor((above[:, :2] - seed_m[:2] + reach_m) / _CELL_M).astype(np.int64)
    n = math.ceil(2 * reach_m / _CELL_M) + 1
    grid = np.zeros((n, n), dtype=np.bool_)
    grid[cell[:, 0], cell[:, 1]] = True
    size = 2 * (_GAP_CELLS // 2) + 1
    grown = ndimage.binary_dilation(grid, np.ones((size, size), dtype=np.bool_))
    parts, _ = ndimage.label(grown, np.ones((3, 3)))
    part = parts[cell[:, 0], cell[:, 1]]
    nearest = int(np.argmin(np.linalg.norm(above[:, :2] - seed_m[:2], axis=1)))
    return above[part == part[nearest]]


def heading_of(points_m: F64, guess_rad: float | None = None) -> float:
    """Axis, modulo a quarter turn around ``guess_rad``, along which a cluster's visible sides lie.

    Closeness of points to the nearer side of their rectangle, searched by degree (Zhang et al., L-shape fitting, 2017).
    """
    xy = points_m[:, :2] - points_m[:, :2].mean(axis=0)
    angles = np.radians(np.arange(0.0, 90.0, 1.0))
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    along, across = cos * xy[:, 0] + sin * xy[:, 1], -sin * xy[:, 0] + cos * xy[:, 1]
    off = [
        np.minimum(v - v.min(axis=1, keepdims=True), v.max(axis=1, keepdims=True) - v)
        for v in (along, across)
    ]
    closeness = (1.0 / np.maximum(np.minimum(*off), 0.05)).sum(axis=1)
    best = float(angles[int(np.argmax(closeness))])
    if guess_rad is None:
        return best
    return best + round((guess_rad - best) / (math.pi / 2)) * (math.pi / 2)


def fitted_heading(box: BoxPose, points_m: F64, ego_xy_m: F64) -> BoxPose:
    """The box turned, by at most an eighth of a turn, to fit the points in and around it, and moved onto them."""
    own = _own_points(box, points_m, 0.4)
    if len(own) < _FEWEST:
        return box
    return fitted_place(replace(box, yaw_rad=heading_of(own, box.yaw_rad)), points_m, ego_xy_m)


def fitted_place(box: BoxPose, points_m: F64, ego_xy_m: F64) -> BoxPose:
    """The box moved so that the faces that look at the sensor lie on its points, and its bottom on the ground."""
    ground = ground_height(points_m, np.array(box.center_m[:2]), box.center_m[2] - box.size_lwh_m[2] / 2)
    own = _own_points(box, points_m, _FIT_REACH_M)
    own = own[own[:, 2] > ground + 0.15]
    x, y, _ = box.center_m
    grounded = replace(box, center_m=(x, y, ground + box.size_lwh_m[2] / 2))
    if len(own) < _FEWEST:
        return grounded
    return _against(grounded, own, ego_xy_m)


def box_around(
    cluster_m: F64, size_lwh_m: tuple[float, float, float], yaw_rad: float, ground_m: float, ego_xy_m: F64
) -> BoxPose:
    """A box of a size and heading on the ground, its faces towards the sensor on the cluster's points."""
    x, y = cluster_m[:, :2].mean(axis=0).tolist()
    box = BoxPose((x, y, ground_m + size_lwh_m[2] / 2), size_lwh_m, yaw_rad)
    return _against(box, cluster_m, ego_xy_m)


def fitted_face(box: BoxPose, points_m: F64, axis: int, sign: int) -> BoxPose:
    """The box with one face on the outermost points near it; as it is if there are too few."""
    half = 0.5 * np.array(box.size_lwh_m)
    if (axis, sign) == (2, -1):
        ground = ground_height(points_m, np.array(box.center_m[:2]), box.center_m[2] - half[2])
        return box.with_face(2, -1, ground - box.center_m[2])
    local = box.local(points_m)
    others = [a for a in range(3) if a != axis]
    within = np.all(np.abs(local[:, others]) <= half[others] + 0.1, axis=1)
    along = sign * local[:, axis]
    within &= (along > -0.25 * half[axis]) & (along <= half[axis] + _FACE_REACH_M)
    within &= local[:, 2] > -half[2] + 0.15
    if int(within.sum()) < _FEWEST:
        return box
    # Outwards as long as points follow one another: what stands behind a gap is something else.
    far = np.sort(along[within])
    gap = np.flatnonzero((np.diff(far) > _FACE_GAP_M) & (far[:-1] > 0.5 * half[axis]))
    far = far[: int(gap[0]) + 1] if len(gap) else far
    return box.with_face(axis, sign, sign * float(np.percentile(far, 100.0 - _OUTERMOST)))


def _own_points(box: BoxPose, points_m: F64, margin_m: float) -> F64:
    local = box.local(points_m)
    half = 0.5 * np.array(box.size_lwh_m)
    inside = np.all(np.abs(local) <= half + margin_m, axis=1) & (local[:, 2] > -half[2] + 0.15)
    return points_m[inside]


def _against(box: BoxPose, own_m: F64, ego_xy_m: F64) -> BoxPose:
    """The box pushed until its faces towards the sensor touch the points; where it is as long as they, centred."""
    local = box.local(own_m)
    viewer = box.local(np.array([*ego_xy_m, box.center_m[2]]))
    offset = np.zeros(3)
    for axis in (0, 1):
        low, high = np.percentile(local[:, axis], (_OUTERMOST, 100.0 - _OUTERMOST))
        half = 0.5 * box.size_lwh_m[axis]
        if high - low >= 2 * half:
            offset[axis] = 0.5 * (low + high)
        elif abs(viewer[axis]) <= half:
            offset[axis] = float(np.clip(0.0, high - half, low + half))  # as little as holds all points
        else:
            offset[axis] = high - half if viewer[axis] > 0 else low + half
    return box.moved(offset)
