"""Edges that a camera should see too, in a lidar's sweep: where something ends before what is behind it, or paint ends.

Neighbours are looked for by direction (azimuth and elevation), so that no scan pattern need be known. Only edges that
are crossed along a scan line are used: there the next shot is a fraction of a degree away, so the edge lies, without
bias, half-way between the two shots. Upper rims of objects lie anywhere between two scan lines, and a camera that is
mounted lower sees another rim than the lidar does: used for pitch they bias it by tenths of a degree (measured).
Slanted outlines and lines on the ground tell pitch and roll instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, I8, I64
from fleetlabel.geometry.compiled import kernel
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.sensors import Sensor
from fleetlabel.model.sweep import Sweep

DEPTH, PAINT = 0, 1
_AZIMUTH_RAD, _ELEVATION_RAD = (
    float(np.radians(0.9)),
    float(np.radians(0.45)),
)  # how far neighbours are looked for
_SAME_LINE = 0.27  # of that elevation
_LEAST_POINTS = 16
_NEAREST_M, _FARTHEST_M, _FARTHEST_PAINT_M = 2.0, 70.0, 40.0
_JUMP_M, _JUMP_SHARE = 0.5, 0.1  # in depth, at least
_PAINT_STEP = 0.45  # of the logarithm of intensity, about 1.6 times as bright
_SAME_SURFACE_M, _SAME_SURFACE_SHARE = 0.1, 0.06


@dataclass(frozen=True, slots=True, eq=False)
class LidarEdges:
    """Places on edges.

    Attributes:
        points_world: (N, 3) metres.
        timestamp_ns: (N,) when they were measured.
        kind: (N,) ``DEPTH`` or ``PAINT``.
    """

    points_world: F64
    timestamp_ns: I64
    kind: I8


def lidar_edges(sweep: Sweep, sensor: Sensor, trajectory: Trajectory) -> LidarEdges:
    """Edges of a sweep, in the world."""
    range_m = np.linalg.norm(sweep.points[:, :3], axis=1).astype(np.float64)
    row = np.flatnonzero((range_m > _NEAREST_M) & np.isfinite(range_m))
    xyz, range_m = sweep.points[row, :3].astype(np.float64), range_m[row]
    if len(row) < _LEAST_POINTS:
        return LidarEdges(np.empty((0, 3)), np.empty(0, np.int64), np.empty(0, np.int8))
    azimuth = np.arctan2(xyz[:, 1], xyz[:, 0])
    elevation = np.arcsin(np.clip(xyz[:, 2] / range_m, -1.0, 1.0))
    light = _log_intensity(sweep.points[row, 3].astype(np.float64))
    order, first, cells = _sorted_by_direction(azimuth, elevation)
    azimuth, elevation, range_m, row = azimuth[order], elevation[order], range_m[order], row[order]
    depth_left, depth_right, paint = _edges(azimuth, elevation, range_m, light[order], first, cells)
    found = [
        (kind, rows, half[rows])
        for kind, half in ((DEPTH, depth_left), (DEPTH, depth_right), (PAINT, paint))
        for rows in [np.flatnonzero(half)]
    ]
    which = np.concatenate([rows for _, rows, _ in found])
    turn = azimuth[which] + np.concatenate([half for _, _, half in found])
    level = np.cos(elevation[which])
    ray = np.stack([np.cos(turn) * level, np.sin(turn) * level, np.sin(elevation[which])], axis=1)
    times = sweep.timestamp_ns + sweep.point_time_offset_ns[row[which]]
    return LidarEdges(
        _placed(ray * range_m[which, None], times, sweep.timestamp_ns, sensor, trajectory),
        times,
        np.concatenate([np.full(len(rows), kind, dtype=np.int8) for kind, rows, _ in found]),
    )


def _sorted_by_direction(azimuth: F64, elevation: F64) -> tuple[I64, I64, I64]:
    """Order (N,) of points by cells of direction, where cells begin (M + 1,), and how many there are (2,)."""
    column = ((azimuth + np.pi) / _AZIMUTH_RAD).astype(np.int64)
    line = ((elevation + 0.5 * np.pi) / _ELEVATION_RAD).astype(np.int64)
    cells = np.array([int(column.max()) + 1, int(line.max()) + 1], dtype=np.int64)
    cell = column * cells[1] + line
    order = np.argsort(cell, kind="stable")
    first = np.searchsorted(cell[order], np.arange(int(cells.prod()) + 1))
    return order, first, cells


@kernel
def _edges(
    azimuth: F64, elevation: F64, range_m: F64, light: F64, first: I64, cells: I64
) -> tuple[F64, F64, F64]:
    """How far an edge is from each point (N,) in azimuth, zero where there is none: of depth left, right, and of paint.

    Of depth: behind that side all is farther. Of paint: from the next shot of the line on a surface is darker, or
    brighter. Neighbours are those within an ellipse; sideways means more so than up or down.
    """
    n = len(azimuth)
    left_edge, right_edge, paint = np.zeros(n), np.zeros(n), np.zeros(n)
    for i in range(n):
        r = range_m[i]
        if r > _FARTHEST_M:
            continue
        beyond, near = (
            np.full(2, np.inf),
            np.full(2, np.inf),
        )  # least range on either side, and azimuth of the nearest
        rough = np.full(2, np.inf)  # least step to either side
        low, high = np.full(2, np.inf), np.full(2, -np.inf)
        low[1], high[1] = light[i], light[i]
        count, paint_near = np.zeros(2), np.inf
        column = int((azimuth[i] + np.pi) / _AZIMUTH_RAD)
        line = int((elevation[i] + 0.5 * np.pi) / _ELEVATION_RAD)
        for c in range(max(column - 1, 0), min(column + 2, cells[0])):
            start = c * cells[1] + max(line - 1, 0)
            stop = c * cells[1] + min(line + 2, cells[1])
            for j in range(first[start], first[stop]):
                away = azimuth[j] - azimuth[i]
                sideways, up = away / _AZIMUTH_RAD, abs(elevation[j] - elevation[i]) / _ELEVATION_RAD
                if i == j or sideways * sideways + up * up > 1.0:
                    continue
                side = 0 if away > 0 else 1
                if abs(sideways) > up:
                    beyond[side] = min(beyond[side], range_m[j])
                    near[side] = min(near[side], abs(away))
                    rough[side] = min(rough[side], abs(range_m[j] - r))
                if (
                    up < _SAME_LINE
                    and abs(away) > 1e-5
                    and (abs(range_m[j] - r) < _SAME_SURFACE_M + _SAME_SURFACE_SHARE * r)
                ):
                    low[side], high[side] = min(low[side], light[j]), max(high[side], light[j])
                    count[side] += 1
                    if side == 0:
                        paint_near = min(paint_near, away)
        for side in range(2):
            gap = beyond[side] - r
            # A surface that is seen at a grazing angle has steps on both sides.
            if (
                np.isfinite(gap)
                and gap > max(_JUMP_M, _JUMP_SHARE * r)
                and (4.0 * rough[1 - side] < gap or rough[1 - side] == np.inf)
            ):
                if side == 0:
                    left_edge[i] = 0.5 * near[0]
                else:
                    right_edge[i] = -0.5 * near[1]
        if (
            count[0] >= 2
            and count[1] >= 1
            and r < _FARTHEST_PAINT_M
            and (max(low[0] - high[1], low[1] - high[0]) > _PAINT_STEP)
        ):
            paint[i] = 0.5 * paint_near
    return left_edge, right_edge, paint


def _log_intensity(intensity: F64) -> F64:
    """The logarithm of intensities, in whatever unit, with what is very dark taken together."""
    bright = intensity[intensity > 0]
    floor = 0.3 * float(np.median(bright)) if len(bright) else 1.0
    return np.log(np.maximum(intensity, 0.0) + floor)


def _placed(xyz: F64, times_ns: I64, sweep_ns: int, sensor: Sensor, trajectory: Trajectory) -> F64:
    """Points in the world; see :meth:`fleetlabel.model.sweep.Sweep.points_world`, here at full precision."""
    if sensor.motion_compensated:
        return se3.apply(trajectory.at(np.array([sweep_ns]))[0] @ sensor.ego_from_sensor, xyz)
    times, which = np.unique(times_ns, return_inverse=True)
    return se3.apply((trajectory.at(times) @ sensor.ego_from_sensor)[which], xyz)
