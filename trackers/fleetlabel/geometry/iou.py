"""Exact overlap of boxes: axis-aligned 2D, rotated bird's-eye view, upright 3D, generalised 3D.

Two rotated rectangles are intersected by clipping one against the sides of the other in the other's own frame
(Sutherland and Hodgman, 1974), relative to its centre, so that coordinates of any size keep their precision.
Compiled kernels do the work; without numba a vectorised numpy path gives the same numbers.
"""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64, Bool
from fleetlabel.geometry.compiled import HAVE_NUMBA, kernel

BEV, IOU_3D, GIOU_3D = 0, 1, 2


def iou_2d(a_xyxy: F64, b_xyxy: F64) -> F64:
    """Intersection over union (N, M) of axis-aligned boxes (N, 4) and (M, 4): x1 y1 x2 y2, far edges
    exclusive.

    Boxes without area overlap nothing.
    """
    a, b = _rows(a_xyxy, 4, "a_xyxy"), _rows(b_xyxy, 4, "b_xyxy")
    if HAVE_NUMBA:
        out = np.empty((len(a), len(b)))
        _iou_2d_kernel(a, b, out)
        return out
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.prod(np.clip(high - low, 0.0, None), axis=2)
    area_a = np.prod(np.clip(a[:, 2:] - a[:, :2], 0.0, None), axis=1)
    area_b = np.prod(np.clip(b[:, 2:] - b[:, :2], 0.0, None), axis=1)
    return _ratio(overlap, area_a[:, None] + area_b[None, :] - overlap)


def bev_iou(a: F64, b: F64) -> F64:
    """Intersection over union (N, M) seen from above: boxes (N, 7), (M, 7) of x y z length width height yaw.

    Metres and radians, centres, yaw about z with 0 along x. Boxes without area overlap nothing.
    """
    return _pairwise(a, b, BEV)


def iou_3d(a: F64, b: F64) -> F64:
    """Intersection over union (N, M) of upright cuboids (N, 7) and (M, 7): x y z length width height yaw."""
    return _pairwise(a, b, IOU_3D)


def giou_3d(a: F64, b: F64) -> F64:
    """Generalised IoU (N, M) in (-1, 1] of upright cuboids (N, 7) and (M, 7): x y z length width height yaw.

    The enclosing body is the convex hull seen from above times the joint height (Rezatofighi et al., 2019, as
    used by AB3DMOT). Pairs whose hull has no volume count as -1.
    """
    return _pairwise(a, b, GIOU_3D)


def _rows(boxes: F64, columns: int, name: str) -> F64:
    rows = np.ascontiguousarray(boxes, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != columns:
        raise ValueError(f"{name} has shape {rows.shape}, expected (N, {columns})")
    return rows


def _ratio(part: F64, whole: F64) -> F64:
    return np.where((part > 0) & (whole > 0), part / np.where(whole > 0, whole, 1.0), 0.0)


def _pairwise(a: F64, b: F64, kind: int) -> F64:
    a, b = _rows(a, 7, "a"), _rows(b, 7, "b")
    if HAVE_NUMBA:
        out = np.empty((len(a), len(b)))
        _pairwise_kernel(a, b, kind, out)
        return out
    return _pairwise_numpy(a, b, kind)


# ---- compiled path


@kernel
def _iou_2d_kernel(a: F64, b: F64, out: F64) -> None:
    for i in range(len(a)):
        for j in range(len(b)):
            out[i, j] = iou_2d_pair(a[i, 0], a[i, 1], a[i, 2], a[i, 3], b[j, 0], b[j, 1], b[j, 2], b[j, 3])


@kernel
def iou_2d_pair(
    ax1: float, ay1: float, ax2: float, ay2: float, bx1: float, by1: float, bx2: float, by2: float
) -> float:
    """Overlap of two axis-aligned boxes; for use inside kernels."""
    width = min(ax2, bx2) - max(ax1, bx1)
    height = min(ay2, by2) - max(ay1, by1)
    if not (width > 0.0 and height > 0.0):
        return 0.0
    overlap = width * height
    return overlap / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - overlap)


@kernel
def _pairwise_kernel(a: F64, b: F64, kind: int, out: F64) -> None:
    scratch = np.empty((4, 16, 2))
    for i in range(len(a)):
        for j in range(len(b)):
            out[i, j] = overlap_pair(a[i], b[j], kind, scratch)


@kernel
def overlap_pair(a: F64, b: F64, kind: int, scratch: F64) -> float:
    """Overlap of one pair of boxes (7,) by ``kind``; ``scratch`` is (4, 16, 2). For use inside kernels."""
    area_a, area_b = float(a[3] * a[4]), float(b[3] * b[4])
    top = min(a[2] + 0.5 * a[5], b[2] + 0.5 * b[5])
    bottom = max(a[2] - 0.5 * a[5], b[2] - 0.5 * b[5])
    height = max(float(top - bottom), 0.0)
    shared = 0.0
    dx, dy = b[0] - a[0], b[1] - a[1]
    reach = 0.5 * (np.sqrt(a[3] * a[3] + a[4] * a[4]) + np.sqrt(b[3] * b[3] + b[4] * b[4]))
    if dx * dx + dy * dy < reach * reach and area_a > 0.0 and area_b > 0.0 and (kind == 0 or height > 0.0):
        shared = min(_clipped_area(a, b, scratch), area_a, area_b)
    if kind == 0:
        return shared / (area_a + area_b - shared) if shared > 0.0 else 0.0
    joint = area_a * a[5] + area_b * b[5] - shared * height
    iou = shared * height / joint if shared * height > 0.0 else 0.0
    if kind == 1:
        return float(iou)
    tall = max(a[2] + 0.5 * a[5], b[2] + 0.5 * b[5]) - min(a[2] - 0.5 * a[5], b[2] - 0.5 * b[5])
    hull = _hull_area(a, b, scratch) * tall
    if not hull > 0.0:
        return -1.0
    # Rounding may put the hull of two equal boxes below their union by an ulp; GIoU never exceeds IoU.
    return float(iou - max(hull - joint, 0.0) / hull)


@kernel
def _corners(a: F64, origin_x: float, origin_y: float, yaw: float, out: F64) -> None:
    """Corners of a box, anticlockwise, in the frame at ``origin`` turned by ``yaw``."""
    cos_o, sin_o = np.cos(yaw), np.sin(yaw)
    dx, dy = a[0] - origin_x, a[1] - origin_y
    cx, cy = cos_o * dx + sin_o * dy, -sin_o * dx + cos_o * dy
    cos_r, sin_r = np.cos(a[6] - yaw), np.sin(a[6] - yaw)
    half_l, half_w = 0.5 * a[3], 0.5 * a[4]
    for k in range(4):
        x = half_l if k == 0 or k == 3 else -half_l
        y = half_w if k == 0 or k == 1 else -half_w
        out[k, 0] = cx + cos_r * x - sin_r * y
        out[k, 1] = cy + sin_r * x + cos_r * y


@kernel
def _clipped_area(a: F64, b: F64, scratch: F64) -> float:
    """Area that two rotated rectangles share: the corners of ``a`` clipped against the sides of ``b``."""
    _corners(a, b[0], b[1], b[6], scratch[0])
    count = 4
    source = 0
    for side in range(4):
        axis = side // 2
        sign = 1.0 if side % 2 == 0 else -1.0
        limit = 0.5 * (b[3] if axis == 0 else b[4])
        target = 1 - source
        kept = 0
        for k in range(count):
            after = k + 1 if k + 1 < count else 0
            here = limit - sign * scratch[source, k, axis]
            there = limit - sign * scratch[source, after, axis]
            if here >= 0.0:
                scratch[target, kept, 0] = scratch[source, k, 0]
                scratch[target, kept, 1] = scratch[source, k, 1]
                kept += 1
            if (here >= 0.0) != (there >= 0.0):
                t = here / (here - there)
                x0, y0 = scratch[source, k, 0], scratch[source, k, 1]
                scratch[target, kept, 0] = x0 + t * (scratch[source, after, 0] - x0)
                scratch[target, kept, 1] = y0 + t * (scratch[source, after, 1] - y0)
                kept += 1
        count = kept
        source = target
    return _shoelace(scratch[source], count)


@kernel
def _shoelace(polygon: F64, count: int) -> float:
    twice = 0.0
    for k in range(1, count - 1):
        ux, uy = polygon[k, 0] - polygon[0, 0], polygon[k, 1] - polygon[0, 1]
        vx, vy = polygon[k + 1, 0] - polygon[0, 0], polygon[k + 1, 1] - polygon[0, 1]
        twice += ux * vy - uy * vx
    return max(0.5 * twice, 0.0)


@kernel
def _hull_area(a: F64, b: F64, scratch: F64) -> float:
    """Area of the convex hull of two rotated rectangles (Andrew's monotone chain)."""
    points = scratch[2]
    _corners(a, b[0], b[1], 0.0, points)
    _corners(b, b[0], b[1], 0.0, points[4:])
    for i in range(1, 8):  # insertion sort by x, then y
        x, y = points[i, 0], points[i, 1]
        k = i - 1
        while k >= 0 and (points[k, 0] > x or (points[k, 0] == x and points[k, 1] > y)):
            points[k + 1, 0], points[k + 1, 1] = points[k, 0], points[k, 1]
            k -= 1
        points[k + 1, 0], points[k + 1, 1] = x, y
    hull = scratch[3]
    count = 0
    for half in range(2):
        floor = count + 1
        for step in range(8):
            i = step if half == 0 else 7 - step
            while count > floor and _turn(hull[count - 2], hull[count - 1], points[i]) <= 0.0:
                count -= 1
            hull[count, 0], hull[count, 1] = points[i, 0], points[i, 1]
            count += 1
        count -= 1
    return _shoelace(hull, count)


@kernel
def _turn(o: F64, p: F64, q: F64) -> float:
    return float((p[0] - o[0]) * (q[1] - o[1]) - (p[1] - o[1]) * (q[0] - o[0]))


# ---- numpy path


def _pairwise_numpy(a: F64, b: F64, kind: int) -> F64:
    first = np.repeat(a, len(b), axis=0)
    second = np.tile(b, (len(a), 1))
    area_a, area_b = first[:, 3] * first[:, 4], second[:, 3] * second[:, 4]
    shared = np.minimum(_clipped_area_numpy(first, second), np.minimum(area_a, area_b))
    shared = np.where((area_a > 0) & (area_b > 0), shared, 0.0)
    if kind == BEV:
        return _ratio(shared, area_a + area_b - shared).reshape(len(a), len(b))
    high_a, high_b = first[:, 2] + 0.5 * first[:, 5], second[:, 2] + 0.5 * second[:, 5]
    low_a, low_b = first[:, 2] - 0.5 * first[:, 5], second[:, 2] - 0.5 * second[:, 5]
    overlap = shared * np.clip(np.minimum(high_a, high_b) - np.maximum(low_a, low_b), 0.0, None)
    joint = area_a * first[:, 5] + area_b * second[:, 5] - overlap
    iou = _ratio(overlap, joint)
    if kind == GIOU_3D:
        hull = _hull_area_numpy(first, second) * (np.maximum(high_a, high_b) - np.minimum(low_a, low_b))
        spare = np.clip(hull - joint, 0.0, None) / np.where(hull > 0, hull, 1.0)
        iou = np.where(hull > 0, iou - spare, -1.0)
    return iou.reshape(len(a), len(b))


def _corners_numpy(boxes: F64, origin: F64, yaw: F64) -> F64:
    cos_o, sin_o = np.cos(yaw), np.sin(yaw)
    dx, dy = (boxes[:, :2] - origin).T
    centre = np.stack([cos_o * dx + sin_o * dy, -sin_o * dx + cos_o * dy], axis=1)
    local = 0.5 * np.array([[1.0, 1], [-1, 1], [-1, -1], [1, -1]])[None] * boxes[:, None, 3:5]
    cos_r, sin_r = np.cos(boxes[:, 6] - yaw)[:, None], np.sin(boxes[:, 6] - yaw)[:, None]
    x, y = local[..., 0], local[..., 1]
    return centre[:, None] + np.stack([cos_r * x - sin_r * y, sin_r * x + cos_r * y], axis=2)


def _clipped_area_numpy(a: F64, b: F64) -> F64:
    """Clipping with a growing number of vertex slots; spare slots repeat the first vertex and add no area."""
    polygon: F64 = _corners_numpy(a, b[:, :2], b[:, 6])
    valid: Bool = np.ones(polygon.shape[:2], dtype=np.bool_)
    for axis, sign in ((0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0)):
        inside_by = 0.5 * b[:, 3 + axis, None] - sign * polygon[..., axis]
        there, after = np.roll(inside_by, -1, axis=1), np.roll(polygon, -1, axis=1)
        keep, cross = inside_by >= 0.0, (inside_by >= 0.0) != (there >= 0.0)
        span = np.where(cross, inside_by - there, 1.0)
        crossing = polygon + (np.where(cross, inside_by, 0.0) / span)[..., None] * (after - polygon)
        slots = polygon.shape[1]
        points = np.stack([polygon, crossing], axis=2).reshape(len(a), 2 * slots, 2)
        valid = np.stack([keep, cross], axis=2).reshape(len(a), 2 * slots)
        order = np.argsort(~valid, axis=1, kind="stable")[:, : slots + 1]
        points = np.take_along_axis(points, order[..., None], axis=1)
        valid = np.take_along_axis(valid, order, axis=1)
        polygon = np.asarray(np.where(valid[..., None], points, points[:, :1]), dtype=np.float64)
        # A polygon that was clipped away stays away: its slots all sit on one point that adds no area.
    area: F64 = _polygon_area(polygon)
    return np.asarray(np.where(valid.any(axis=1), area, 0.0), dtype=np.float64)


def _polygon_area(polygon: F64) -> F64:
    spokes = polygon[:, 1:] - polygon[:, :1]
    cross = spokes[:, :-1, 0] * spokes[:, 1:, 1] - spokes[:, :-1, 1] * spokes[:, 1:, 0]
    area: F64 = np.clip(0.5 * cross.sum(axis=1), 0.0, None)
    return area


def _hull_area_numpy(a: F64, b: F64) -> F64:
    """Monotone chain of :func:`_hull_area` for all pairs in step: a stack of vertices and its height each."""
    zero = np.zeros(len(a))
    points = np.concatenate([_corners_numpy(a, b[:, :2], zero), _corners_numpy(b, b[:, :2], zero)], axis=1)
    order = np.lexsort((points[..., 1], points[..., 0]), axis=1)
    points = np.take_along_axis(points, order[..., None], axis=1)
    rows = np.arange(len(a))
    hull, count = np.zeros((len(a), 16, 2)), np.zeros(len(a), dtype=np.int64)
    for sweep in (range(8), range(7, -1, -1)):
        floor = count + 1
        for i in sweep:
            for _ in range(8):
                base, tip = hull[rows, np.maximum(count - 2, 0)], hull[rows, np.maximum(count - 1, 0)]
                u, v = tip - base, points[:, i] - base
                pop = (count > floor) & (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] <= 0.0)
                if not pop.any():
                    break
                count -= pop
            hull[rows, count] = points[:, i]
            count += 1
        count -= 1
    spare = np.arange(hull.shape[1])[None, :, None] >= count[:, None, None]
    return _polygon_area(np.where(spare, hull[:, :1], hull))
