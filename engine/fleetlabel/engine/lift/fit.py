"""Fits an upright cuboid to a vehicle's voxels, seen from above.

The points of a vehicle lie on the faces turned to the lidar (Zhang et al., 2017, "Efficient L-shape fitting": the
closeness criterion finds candidate headings). A cuboid is then judged by one cost: points near a visible face,
few points outside, the silhouette's directions as the pictures show them, and a size that the class can have.
Minimising it completes a car of which one corner is seen away from the sensor, as far as picture and prior tell.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fleetlabel.engine.lift.columns import (
    CUT_LEFT,
    CUT_RIGHT,
    DIR_X,
    DIR_Y,
    EYE_X,
    EYE_Y,
    LEFT,
    RIGHT,
    SIGMA_LEFT,
    SIGMA_RIGHT,
)
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.compiled import kernel

N_HEADINGS = 30
MAX_POINTS = 100
EFFECTIVE_POINTS = 40.0  # neighbouring points tell the same story: more than these do not outweigh the rest
SIGMA_OUT_M = 0.10
SIGMA_IN_M = 0.15
SIGMA_GAP_M = 0.8
CAP_OUT = 6.0
# Points on a roof or a bonnet are far behind every face: they pull hard while a cuboid is laid against faces, but say
# little against it when cuboids of different objects are compared.
CAP_IN_FIT = 2.0
CAP_IN_JUDGE = 0.6
CAP_LONG = 9.0  # the object goes on beyond its 2D box: hidden behind something
CAP_SHORT = 25.0  # the object does not fill its 2D box: hardly excusable
EGO_HEADING_WEIGHT = (
    2.0  # of the expectation that traffic is parallel or across; outweighed by a dozen points
)

# A cuboid seen from above is (5,): u_low, u_high, v_low, v_high along the axes turned by heading; heading.


class Evidence(NamedTuple):
    """What a cuboid is judged by beside the points.

    Attributes:
        lidar: (2,) where the points were seen from, level frame.
        silhouettes: (S, 10) see columns.py.
        size: (4, 2) mean, standard deviation, least and greatest of length and width.
        cap_in: most that a point inside can cost.
    """

    lidar: F64
    silhouettes: F64
    size: F64
    cap_in: float


@kernel
def cuboid_cost(box: F64, points: F64, evidence: Evidence, bound: float) -> float:
    """How badly a cuboid (5,) explains points (N, 2) and pictures; lower is better.

    Above ``bound`` it may return anything above ``bound``: the search needs no more.
    """
    c, s = np.cos(box[4]), np.sin(box[4])
    u_low, u_high, v_low, v_high = box[0], box[1], box[2], box[3]
    size = evidence.size
    length, width = (u_high - u_low - size[0, 0]) / size[1, 0], (v_high - v_low - size[0, 1]) / size[1, 1]
    cost: float = length * length + width * width + EGO_HEADING_WEIGHT * np.sin(2.0 * box[4]) ** 2
    for k in range(len(evidence.silhouettes)):
        cost += _silhouette_cost(box, c, s, evidence.silhouettes[k])
    lidar = evidence.lidar
    sensor_u, sensor_v = c * lidar[0] + s * lidar[1], -s * lidar[0] + c * lidar[1]
    sees_front, sees_back = sensor_u > u_high, sensor_u < u_low
    sees_left, sees_right = sensor_v > v_high, sensor_v < v_low
    share = min(EFFECTIVE_POINTS, float(len(points))) / max(len(points), 1)
    per_out, per_in = share / (SIGMA_OUT_M * SIGMA_OUT_M), share / (SIGMA_IN_M * SIGMA_IN_M)
    cap_out, cap_in = share * CAP_OUT, share * evidence.cap_in
    seen_u_low, seen_u_high, seen_v_low, seen_v_high = np.inf, -np.inf, np.inf, -np.inf
    for p in range(len(points)):
        u = c * points[p, 0] + s * points[p, 1]
        v = -s * points[p, 0] + c * points[p, 1]
        out_u = max(max(u_low - u, u - u_high), 0.0)
        out_v = max(max(v_low - v, v - v_high), 0.0)
        out = out_u * out_u + out_v * out_v
        if out > 0.0:
            cost += min(out * per_out, cap_out)
        else:
            seen_u_low, seen_u_high = min(seen_u_low, u), max(seen_u_high, u)
            seen_v_low, seen_v_high = min(seen_v_low, v), max(seen_v_high, v)
            depth = 1e3  # behind the nearest face that the lidar sees
            if sees_front:
                depth = u_high - u
            elif sees_back:
                depth = u - u_low
            if sees_left:
                depth = min(depth, v_high - v)
            elif sees_right:
                depth = min(depth, v - v_low)
            cost += min(depth * depth * per_in, cap_in)
        if cost > bound:
            return cost
    # A seen face is seen to both of its ends, unless something hides them: then neither end is the likelier.
    if (sees_left or sees_right) and seen_u_high >= seen_u_low:
        cost += ((seen_u_low - u_low) ** 2 + (u_high - seen_u_high) ** 2) / (SIGMA_GAP_M * SIGMA_GAP_M)
    if (sees_front or sees_back) and seen_v_high >= seen_v_low:
        cost += ((seen_v_low - v_low) ** 2 + (v_high - seen_v_high) ** 2) / (SIGMA_GAP_M * SIGMA_GAP_M)
    return cost


@kernel
def _silhouette_cost(box: F64, c: float, s: float, row: F64) -> float:
    """Disagreement of the cuboid's outermost directions, seen from a camera, with the sides of its 2D box."""
    left, right = -10.0, 10.0
    for corner in range(4):
        u = box[corner % 2]
        v = box[2 + corner // 2]
        dx, dy = c * u - s * v - row[EYE_X], s * u + c * v - row[EYE_Y]
        angle = np.arctan2(row[DIR_X] * dy - row[DIR_Y] * dx, row[DIR_X] * dx + row[DIR_Y] * dy)
        left = max(left, angle)
        right = min(right, angle)
    cost = 0.0
    off = (left - row[LEFT]) / row[SIGMA_LEFT]
    if not (row[CUT_LEFT] > 0.0 and off > 0.0):
        cost += min(off * off, CAP_LONG if off > 0.0 else CAP_SHORT)
    off = (right - row[RIGHT]) / row[SIGMA_RIGHT]
    if not (row[CUT_RIGHT] > 0.0 and off < 0.0):
        cost += min(off * off, CAP_LONG if off < 0.0 else CAP_SHORT)
    return cost


@kernel
def candidate_headings(points: F64) -> F64:
    """Up to four headings in [0, pi/2) that the points' outline suggests, and the ego vehicle's."""
    score = np.empty(N_HEADINGS)
    n = len(points)
    u, v = np.empty(n), np.empty(n)
    for h in range(N_HEADINGS):
        angle = 0.5 * np.pi * h / N_HEADINGS
        c, s = np.cos(angle), np.sin(angle)
        u0, u1, v0, v1 = np.inf, -np.inf, np.inf, -np.inf
        for p in range(n):
            u[p] = c * points[p, 0] + s * points[p, 1]
            v[p] = -s * points[p, 0] + c * points[p, 1]
            u0, u1, v0, v1 = min(u0, u[p]), max(u1, u[p]), min(v0, v[p]), max(v1, v[p])
        total = 0.0
        for p in range(n):
            depth = min(min(u[p] - u0, u1 - u[p]), min(v[p] - v0, v1 - v[p]))
            total += 1.0 / max(depth, 0.08)
        score[h] = total
    out = np.zeros(5)
    m = 1
    order = np.argsort(-score)
    for k in range(N_HEADINGS):
        h = order[k]
        if score[h] >= score[(h + 1) % N_HEADINGS] and score[h] >= score[h - 1]:
            out[m] = 0.5 * np.pi * h / N_HEADINGS
            m += 1
            if m == 5:
                break
    return out[:m]


@kernel
def _place(low: float, high: float, sensor: float, size: float, anchor: int) -> tuple[float, float]:
    """Interval of at least ``size`` over low..high: grown away from the sensor, or to a side if that is abreast."""
    size = max(size, high - low)
    if sensor > high + 0.3:
        return high - size, high
    if sensor < low - 0.3:
        return low, low + size
    if anchor == 0:
        middle = 0.5 * (low + high)
        return middle - 0.5 * size, middle + 0.5 * size
    if anchor == 1:
        return low, low + size
    return high - size, high


@kernel
def suggest(points: F64, evidence: Evidence) -> tuple[F64, F64]:
    """Cuboids (K, 5) of typical size laid against the seen faces, cheapest first, and their costs (K,)."""
    headings = candidate_headings(points)
    boxes = np.empty((len(headings) * 18, 5))
    costs = np.empty(len(boxes))
    size = evidence.size
    m = 0
    for h in range(len(headings)):
        for turn in range(2):
            heading = headings[h] + turn * 0.5 * np.pi
            c, s = np.cos(heading), np.sin(heading)
            u0, u1 = _trimmed(c * points[:, 0] + s * points[:, 1])
            v0, v1 = _trimmed(-s * points[:, 0] + c * points[:, 1])
            too_large = u1 - u0 > size[3, 0] + 0.5 or v1 - v0 > size[3, 1] + 0.5
            sensor_u = c * evidence.lidar[0] + s * evidence.lidar[1]
            sensor_v = -s * evidence.lidar[0] + c * evidence.lidar[1]
            abreast_u = u0 - 0.3 <= sensor_u <= u1 + 0.3
            abreast_v = v0 - 0.3 <= sensor_v <= v1 + 0.3
            for anchor_u in range(3 if abreast_u else 1):
                for anchor_v in range(3 if abreast_v else 1):
                    boxes[m, 0], boxes[m, 1] = _place(u0, u1, sensor_u, size[0, 0], anchor_u)
                    boxes[m, 2], boxes[m, 3] = _place(v0, v1, sensor_v, size[0, 1], anchor_v)
                    boxes[m, 4] = heading
                    costs[m] = cuboid_cost(boxes[m], points, evidence, np.inf) + (20.0 if too_large else 0.0)
                    m += 1
    order = np.argsort(costs[:m])
    return boxes[order], costs[order]


@kernel
def refine(box: F64, points: F64, evidence: Evidence, step: float, last_step: float) -> float:
    """Coordinate descent in place: stretch each side, move, turn; steps halve when nothing helps. Returns the cost."""
    cost = cuboid_cost(box, points, evidence, np.inf)
    size = evidence.size
    trial = np.empty(5)
    while step > last_step:
        improved = False
        for move in range(14):
            kind, by = move // 2, step if move % 2 == 0 else -step
            trial[:] = box
            if kind < 4:
                trial[kind] += by
                length, width = trial[1] - trial[0], trial[3] - trial[2]
                if not (size[2, 0] <= length <= size[3, 0] and size[2, 1] <= width <= size[3, 1]):
                    continue
            elif kind < 6:
                trial[2 * kind - 8] += by
                trial[2 * kind - 7] += by
            else:
                _turn(trial, 0.3 * by, evidence.lidar)
            value = cuboid_cost(trial, points, evidence, cost)
            if value < cost - 1e-9:
                cost = value
                box[:] = trial
                improved = True
        if not improved:
            step *= 0.5
    return cost


@kernel
def _turn(box: F64, angle: float, lidar: F64) -> None:
    """Turns a cuboid about the corner nearest to the lidar, in place."""
    c, s = np.cos(box[4]), np.sin(box[4])
    sensor_u, sensor_v = c * lidar[0] + s * lidar[1], -s * lidar[0] + c * lidar[1]
    u = box[0] if abs(sensor_u - box[0]) < abs(sensor_u - box[1]) else box[1]
    v = box[2] if abs(sensor_v - box[2]) < abs(sensor_v - box[3]) else box[3]
    x, y = c * u - s * v, s * u + c * v
    box[4] += angle
    c, s = np.cos(box[4]), np.sin(box[4])
    du, dv = c * x + s * y - u, -s * x + c * y - v
    box[0] += du
    box[1] += du
    box[2] += dv
    box[3] += dv


@kernel
def _trimmed(values: F64) -> tuple[float, float]:
    """Extent of values; of 50 and more, the outermost on either side does not count."""
    low, next_low, high, next_high = np.inf, np.inf, -np.inf, -np.inf
    for value in values:
        if value < low:
            low, next_low = value, low
        elif value < next_low:
            next_low = value
        if value > high:
            high, next_high = value, high
        elif value > next_high:
            next_high = value
    return (next_low, next_high) if len(values) >= 50 else (low, high)


@kernel
def seen_from_above(xyz: F64, rows: I64) -> F64:
    """Places (N, 2) of the rows, at most MAX_POINTS of them, evenly picked."""
    n = min(len(rows), MAX_POINTS)
    out = np.empty((n, 2))
    for k in range(n):
        p = rows[(k * len(rows)) // n]
        out[k, 0], out[k, 1] = xyz[p, 0], xyz[p, 1]
    return out
