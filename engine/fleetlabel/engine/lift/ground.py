"""The road's surface: a height map grown outwards from the vehicle, and heights of points above it.

Each cell of a square grid keeps its low points. Cells are visited from the vehicle outwards; a cell whose low height
continues the surface of its neighbours is road, any other (a car's roof line, a wall, a stray return from below the
road) takes the height that its neighbours foretell. So the map follows slopes and crowned roads and passes under cars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.compiled import kernel

CELL_M = 1.0
# A step that continues the road: what is left after a slope is followed (kerbs, camber) and how fast slopes change.
STEP_M = 0.12
SLOPE_CHANGE = 0.08
MAX_SLOPE = 0.35


@dataclass(frozen=True, slots=True, eq=False)
class GroundMap:
    """Height of the road around the vehicle, in the levelled frame (z up, origin at the ego vehicle).

    Attributes:
        height_m: (G, G) height at the cell centres, x by y.
        half_width_m: the map covers -half_width..half_width in x and y; beyond it the border's height holds.
    """

    height_m: F64
    half_width_m: float

    def at(self, xy_m: F64) -> F64:
        """Road height (N,) at places (N, 2), bilinear between cells."""
        out = np.empty(len(xy_m))
        _sample(self.height_m, self.half_width_m, np.ascontiguousarray(xy_m), out)
        return out


def fit_ground(points_level: F64, half_width_m: float) -> GroundMap:
    """The road under points (P, 3) of the levelled frame. Without points it is flat, at the origin's height."""
    n = int(np.ceil(2 * half_width_m / CELL_M))
    low = np.full((n, n), np.nan)
    _low_heights(points_level, half_width_m, low)
    seed = _seed_plane(low, half_width_m)
    axis = (np.arange(n) + 0.5) * CELL_M - half_width_m
    radius = np.hypot(axis[:, None], axis[None, :])
    order = np.argsort(radius.ravel(), kind="stable")
    height = np.full((n, n), np.nan)
    _grow(low, seed, half_width_m, order, height)
    return GroundMap(height_m=height, half_width_m=half_width_m)


def _seed_plane(low: F64, half_width_m: float, radius_m: float = 12.0) -> F64:
    """Plane (3,) z = a + b x + c y through the low cells around the vehicle, by iteratively trimmed least squares."""
    n = len(low)
    axis = (np.arange(n) + 0.5) * CELL_M - half_width_m
    x, y = np.meshgrid(axis, axis, indexing="ij")
    for reach in (radius_m, 2 * radius_m, 4 * radius_m):
        use = np.isfinite(low) & (np.hypot(x, y) < reach)
        if np.count_nonzero(use) >= 20:
            break
    if np.count_nonzero(use) < 3:
        known = low[np.isfinite(low)]
        return np.array([float(np.median(known)) if len(known) else 0.0, 0.0, 0.0])
    design = np.stack([np.ones(np.count_nonzero(use)), x[use], y[use]], axis=1)
    z = low[use]
    plane = np.array([float(np.quantile(z, 0.3)), 0.0, 0.0])
    for tolerance in (0.6, 0.4, 0.25, 0.15, 0.15):
        # Asymmetric: what stands above the road is common, what lies below it is a stray return.
        residual = z - design @ plane
        keep = (residual < tolerance) & (residual > -1.5 * tolerance)
        if np.count_nonzero(keep) < 6:
            break
        ridge = np.diag([0.0, 5.0, 5.0])  # few cells show no slope
        plane = np.linalg.solve(design[keep].T @ design[keep] + ridge, design[keep].T @ z[keep])
    return plane


@kernel
def _low_heights(points: F64, half: float, low: F64) -> None:
    """Lowest height per cell that a second point within 10 cm confirms, else the lowest."""
    n = len(low)
    second = np.full((n, n), np.nan)
    third = np.full((n, n), np.nan)
    for p in range(len(points)):
        i = int(np.floor((points[p, 0] + half) / CELL_M))
        j = int(np.floor((points[p, 1] + half) / CELL_M))
        if i < 0 or j < 0 or i >= n or j >= n:
            continue
        z = points[p, 2]
        if not z >= low[i, j]:
            third[i, j] = second[i, j]
            second[i, j] = low[i, j]
            low[i, j] = z
        elif not z >= second[i, j]:
            third[i, j] = second[i, j]
            second[i, j] = z
        elif not z >= third[i, j]:
            third[i, j] = z
    for i in range(n):
        for j in range(n):
            if second[i, j] - low[i, j] > 0.1 and not third[i, j] - second[i, j] > 0.1:
                low[i, j] = second[i, j]


@kernel
def _grow(low: F64, seed: F64, half: float, order: I64, height: F64) -> None:
    n = len(low)
    slope_x = np.full((n, n), seed[1])
    slope_y = np.full((n, n), seed[2])
    trust = np.zeros((n, n))
    for k in range(len(order)):
        i, j = order[k] // n, order[k] % n
        x, y = (i + 0.5) * CELL_M - half, (j + 0.5) * CELL_M - half
        # Local plane of the road cells already known nearby, weighted by nearness and trust.
        weight = 0.0
        expected = 0.0
        sx = 0.0
        sy = 0.0
        confidence = 0.0
        for di in range(-2, 3):
            for dj in range(-2, 3):
                a, b = i + di, j + dj
                if a < 0 or b < 0 or a >= n or b >= n or np.isnan(height[a, b]):
                    continue
                w = (0.05 + trust[a, b]) / (di * di + dj * dj)
                expected += w * (height[a, b] - slope_x[a, b] * di * CELL_M - slope_y[a, b] * dj * CELL_M)
                sx += w * slope_x[a, b]
                sy += w * slope_y[a, b]
                confidence = max(confidence, trust[a, b])
                weight += w
        if weight == 0.0 or x * x + y * y < 16.0:
            expected, sx, sy, confidence = seed[0] + seed[1] * x + seed[2] * y, seed[1], seed[2], 1.0
        else:
            expected, sx, sy = expected / weight, sx / weight, sy / weight
        # Where nothing was seen for a while the road may have drifted: accept a larger step again.
        tolerance = STEP_M + (1.0 - confidence) * 0.25
        z = low[i, j]
        if z - expected < tolerance and expected - z < 1.5 * tolerance:
            blend = 0.6 if confidence > 0.5 else 0.8
            height[i, j] = expected + blend * (z - expected)
            trust[i, j] = 1.0
        else:
            height[i, j] = expected
            trust[i, j] = 0.85 * confidence
        # Slopes follow slowly: a plane fit over the neighbourhood by differences to known cells.
        gx, gy, wx, wy = 0.0, 0.0, 1e-9, 1e-9
        for d in range(-4, 5):
            if d == 0:
                continue
            if 0 <= i + d < n and trust[i + d, j] > 0.5 and trust[i, j] > 0.5:
                gx += (height[i + d, j] - height[i, j]) / (d * CELL_M) * d * d
                wx += d * d
            if 0 <= j + d < n and trust[i, j + d] > 0.5 and trust[i, j] > 0.5:
                gy += (height[i, j + d] - height[i, j]) / (d * CELL_M) * d * d
                wy += d * d
        slope_x[i, j] = sx + min(max((gx / wx if wx > 1.0 else sx) - sx, -SLOPE_CHANGE), SLOPE_CHANGE) * 0.3
        slope_y[i, j] = sy + min(max((gy / wy if wy > 1.0 else sy) - sy, -SLOPE_CHANGE), SLOPE_CHANGE) * 0.3
        slope_x[i, j] = min(max(slope_x[i, j], -MAX_SLOPE), MAX_SLOPE)
        slope_y[i, j] = min(max(slope_y[i, j], -MAX_SLOPE), MAX_SLOPE)


@kernel
def _sample(height: F64, half: float, xy: F64, out: F64) -> None:
    n = len(height)
    for p in range(len(xy)):
        u = min(max((xy[p, 0] + half) / CELL_M - 0.5, 0.0), n - 1.0001)
        v = min(max((xy[p, 1] + half) / CELL_M - 0.5, 0.0), n - 1.0001)
        i, j = int(u), int(v)
        a, b = u - i, v - j
        out[p] = (1 - a) * ((1 - b) * height[i, j] + b * height[i, j + 1]) + a * (
            (1 - b) * height[i + 1, j] + b * height[i + 1, j + 1]
        )
