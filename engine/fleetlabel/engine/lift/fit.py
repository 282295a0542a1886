"""Fits an upright cuboid to a vehicle's voxels, seen from above.

The points of a vehicle lie on the faces turned to the lidar (Zhang et al., 2017, "Efficient L-shape fitting": the
closeness criterion finds candidate headings). A cuboid is then judged by one cost: points near a visible face, few
points outside, the silhouette's directions as the pictures show them, and a size that the class can have. Minimising
it completes a car of which one corner is seen away from the sensor, as far as the picture and the prior tell.
"""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64
from fleetlabel.geometry.compiled import kernel

N_HEADINGS = 45
MAX_POINTS = 120
EFFECTIVE_POINTS = 40.0
SIGMA_OUT_M = 0.10
SIGMA_IN_M = 0.15
CAP_OUT = 6.0
CAP_IN = 2.0
CAP_EDGE = 9.0

# Columns of a silhouette row: camera x, y; unit direction of the box's middle; angles of its left and right edge from
# there (left positive); their standard deviations; left and right edge cut by the picture's border.
EYE_X, EYE_Y, DIR_X, DIR_Y, LEFT, RIGHT, SIGMA_LEFT, SIGMA_RIGHT, CUT_LEFT, CUT_RIGHT = range(10)


@kernel
def cuboid_cost(
    box: F64, points: F64, lidar: F64, silhouettes: F64, prior: F64, hints: F64, hint_weight: float
) -> float:
    """How badly a cuboid explains what was seen; lower is better.

    Args:
        box: (5,) u_low, u_high, v_low, v_high in the axes turned by heading; heading.
        points: (N, 2) level frame.
        lidar: (2,) where they were seen from.
        silhouettes: (S, 10) see the column names above.
        prior: (2, 2) mean and standard deviation of length and width.
        hints: (H,) headings that others around have, and how much they count.
    """
    c, s = np.cos(box[4]), np.sin(box[4])
    sensor_u, sensor_v = c * lidar[0] + s * lidar[1], -s * lidar[0] + c * lidar[1]
    u_low, u_high, v_low, v_high = box[0], box[1], box[2], box[3]
    # Cost of the points.
    total = 0.0
    for p in range(len(points)):
        u = c * points[p, 0] + s * points[p, 1]
        v = -s * points[p, 0] + c * points[p, 1]
        out_u = max(max(u_low - u, u - u_high), 0.0)
        out_v = max(max(v_low - v, v - v_high), 0.0)
        out = out_u * out_u + out_v * out_v
        if out > 0.0:
            total += min(out / (SIGMA_OUT_M * SIGMA_OUT_M), CAP_OUT)
        else:
            depth = 1e3
            if sensor_u > u_high:
                depth = min(depth, u_high - u)
            elif sensor_u < u_low:
                depth = min(depth, u - u_low)
            if sensor_v > v_high:
                depth = min(depth, v_high - v)
            elif sensor_v < v_low:
                depth = min(depth, v - v_low)
            total += min(depth * depth / (SIGMA_IN_M * SIGMA_IN_M), CAP_IN)
    cost = total * min(EFFECTIVE_POINTS, float(len(points))) / max(len(points), 1)
    # Size.
    length, width = (u_high - u_low - prior[0, 0]) / prior[1, 0], (v_high - v_low - prior[0, 1]) / prior[1, 1]
    cost += length * length + width * width
    # Silhouettes.
    for k in range(len(silhouettes)):
        row = silhouettes[k]
        left, right = -10.0, 10.0
        for corner in range(4):
            u = u_low if corner % 2 == 0 else u_high
            v = v_low if corner < 2 else v_high
            dx, dy = c * u - s * v - row[EYE_X], s * u + c * v - row[EYE_Y]
            angle = np.arctan2(row[DIR_X] * dy - row[DIR_Y] * dx, row[DIR_X] * dx + row[DIR_Y] * dy)
            left = max(left, angle)
            right = min(right, angle)
        off = (left - row[LEFT]) / row[SIGMA_LEFT]
        if not (row[CUT_LEFT] > 0.0 and off > 0.0):
            cost += min(off * off, CAP_EDGE)
        off = (right - row[RIGHT]) / row[SIGMA_RIGHT]
        if not (row[CUT_RIGHT] > 0.0 and off < 0.0):
            cost += min(off * off, CAP_EDGE)
    if hint_weight > 0.0:
        best = 1.0
        for k in range(len(hints)):
            best = min(best, np.sin(2.0 * (box[4] - hints[k])) ** 2)
        cost += hint_weight * best
    return cost


@kernel
def candidate_headings(points: F64, hints: F64) -> F64:
    """Up to four headings in [0, pi/2) that the points' outline suggests, and the hints."""
    score = np.empty(N_HEADINGS)
    n = len(points)
    u, v = np.empty(n), np.empty(n)
    for h in range(N_HEADINGS):
        angle = 0.5 * np.pi * h / N_HEADINGS
        c, s = np.cos(angle), np.sin(angle)
        for p in range(n):
            u[p] = c * points[p, 0] + s * points[p, 1]
            v[p] = -s * points[p, 0] + c * points[p, 1]
        u0, u1, v0, v1 = u.min(), u.max(), v.min(), v.max()
        total = 0.0
        for p in range(n):
            depth = min(min(u[p] - u0, u1 - u[p]), min(v[p] - v0, v1 - v[p]))
            total += 1.0 / max(depth, 0.08)
        score[h] = total
    out = np.empty(4 + len(hints))
    m = 0
    order = np.argsort(-score)
    for k in range(N_HEADINGS):
        h = order[k]
        if score[h] >= score[(h + 1) % N_HEADINGS] and score[h] >= score[h - 1]:
            out[m] = 0.5 * np.pi * h / N_HEADINGS
            m += 1
            if m == 4:
                break
    for k in range(len(hints)):
        out[m] = hints[k] % (0.5 * np.pi)
        m += 1
    return out[:m]


@kernel
def _place(low: float, high: float, sensor: float, size: float, anchor: int) -> tuple[float, float]:
    """Interval of at least ``size`` covering low..high: grown away from the sensor, or to a side if it is abreast."""
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
def fit_cuboid(
    points: F64,
    lidar: F64,
    silhouettes: F64,
    prior: F64,
    limits: F64,
    hints: F64,
    hint_weight: float,
    start: F64,
) -> tuple[F64, float]:
    """The cuboid (5,) of least cost, and the cost. See :func:`cuboid_cost`.

    Args:
        limits: (2, 2) least and greatest length and width.
        start: (K, 5) cuboids to start from beside those that the points suggest.
    """
    few = thin(points)
    headings = candidate_headings(few, hints)
    n_starts = len(headings) * 18 + len(start)
    boxes = np.empty((n_starts, 5))
    costs = np.empty(n_starts)
    m = 0
    for h in range(len(headings)):
        for turn in range(2):
            heading = headings[h] + turn * 0.5 * np.pi
            c, s = np.cos(heading), np.sin(heading)
            u, v = c * few[:, 0] + s * few[:, 1], -s * few[:, 0] + c * few[:, 1]
            u0, u1 = _trimmed(u)
            v0, v1 = _trimmed(v)
            if u1 - u0 > limits[1, 0] + 0.5 or v1 - v0 > limits[1, 1] + 0.5:
                penalty = 20.0
            else:
                penalty = 0.0
            su, sv = c * lidar[0] + s * lidar[1], -s * lidar[0] + c * lidar[1]
            abreast_u, abreast_v = u0 - 0.3 <= su <= u1 + 0.3, v0 - 0.3 <= sv <= v1 + 0.3
            for au in range(3 if abreast_u else 1):
                for av in range(3 if abreast_v else 1):
                    boxes[m, 0], boxes[m, 1] = _place(u0, u1, su, prior[0, 0], au)
                    boxes[m, 2], boxes[m, 3] = _place(v0, v1, sv, prior[0, 1], av)
                    boxes[m, 4] = heading
                    costs[m] = penalty + cuboid_cost(
                        boxes[m], few, lidar, silhouettes, prior, hints, hint_weight
                    )
                    m += 1
    for k in range(len(start)):
        boxes[m] = start[k]
        costs[m] = cuboid_cost(boxes[m], few, lidar, silhouettes, prior, hints, hint_weight)
        m += 1
    order = np.argsort(costs[:m])
    best, best_cost = boxes[order[0]].copy(), np.inf
    for k in range(min(m, 3)):
        box = boxes[order[k]].copy()
        if costs[order[k]] > costs[order[0]] + 25.0:
            break
        cost = refine(box, few, lidar, silhouettes, prior, limits, hints, hint_weight)
        if cost < best_cost:
            best, best_cost = box, cost
    return best, best_cost


@kernel
def refine(
    box: F64,
    points: F64,
    lidar: F64,
    silhouettes: F64,
    prior: F64,
    limits: F64,
    hints: F64,
    hint_weight: float,
) -> float:
    """Coordinate descent in place: move, stretch each side, turn; steps halve when nothing helps. Returns the cost."""
    cost = cuboid_cost(box, points, lidar, silhouettes, prior, hints, hint_weight)
    step = 0.2
    trial = np.empty(5)
    for _ in range(24):
        improved = False
        for move in range(14):
            kind, sign = move // 2, 1.0 - 2.0 * (move % 2)
            trial[:] = box
            if kind < 4:
                trial[kind] += sign * step
            elif kind == 4:
                trial[0] += sign * step
                trial[1] += sign * step
            elif kind == 5:
                trial[2] += sign * step
                trial[3] += sign * step
            else:
                _turn(trial, sign * step * 0.3, lidar)
            length, width = trial[1] - trial[0], trial[3] - trial[2]
            if not (limits[0, 0] <= length <= limits[1, 0] and limits[0, 1] <= width <= limits[1, 1]):
                if kind < 4:
                    continue
            value = cuboid_cost(trial, points, lidar, silhouettes, prior, hints, hint_weight)
            if value < cost - 1e-9:
                cost = value
                box[:] = trial
                improved = True
        if not improved:
            step *= 0.5
            if step < 0.012:
                break
    return cost


@kernel
def _turn(box: F64, angle: float, lidar: F64) -> None:
    """Turns a cuboid about the corner nearest to the lidar, in place."""
    c, s = np.cos(box[4]), np.sin(box[4])
    su, sv = c * lidar[0] + s * lidar[1], -s * lidar[0] + c * lidar[1]
    u = box[0] if abs(su - box[0]) < abs(su - box[1]) else box[1]
    v = box[2] if abs(sv - box[2]) < abs(sv - box[3]) else box[3]
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
    """Extent of values without the outermost 2 % on either side."""
    ordered = np.sort(values)
    cut = int(0.02 * len(ordered))
    return ordered[cut], ordered[len(ordered) - 1 - cut]


@kernel
def thin(points: F64) -> F64:
    """At most MAX_POINTS of the points, evenly picked."""
    n = len(points)
    if n <= MAX_POINTS:
        return points
    out = np.empty((MAX_POINTS, 2))
    for k in range(MAX_POINTS):
        p = (k * n) // MAX_POINTS
        out[k, 0], out[k, 1] = points[p, 0], points[p, 1]
    return out
