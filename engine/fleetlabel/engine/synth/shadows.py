"""Shadows of objects: the rays to the sun that may meet one are carried into its frame, as those of a lidar are."""

from __future__ import annotations

import numpy as np

from fleetlabel.engine.synth.cells import Cells, cell_at
from fleetlabel.engine.synth.raycast import Casters, enters
from fleetlabel.engine.synth.scene import Actors
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F32, F64, I32, I64, Bool
from fleetlabel.geometry.compiled import kernel

_CELL_M = 1.5
_MARGIN_M = 1e-3


def in_shade_of_objects(rays: F32, actors: Actors, casters: Casters, anchor_m: F64, axes: F64) -> Bool:
    """Which rays (N, 6) to the sun objects block, (N,).

    Args:
        anchor_m: (3,) of the rays' frame in the world.
        axes: (3, 3) across the sun's direction and along it.
    """
    shaded = np.zeros(len(rays), dtype=np.bool_)
    center = actors.center_m - anchor_m
    half = 0.5 * actors.size_lwh_m + _MARGIN_M
    radius = np.linalg.norm(half, axis=1)
    seen = center @ axes.T
    cells = Cells.around(seen[:, :2] - radius[:, None], seen[:, :2] + radius[:, None], _CELL_M)
    first, candidates = _candidates(
        rays, axes, seen, radius, cells.low, cells.size, cells.shape, cells.first, cells.rows
    )
    object_from_anchor = se3.invert(se3.transform(quaternion.to_matrix(actors.q_wxyz), center))
    for row in np.flatnonzero(np.diff(first)):
        own = candidates[first[row] : first[row + 1]]
        chosen, local = np.empty(len(own), dtype=np.int32), np.empty((len(own), 6), dtype=np.float32)
        n = _rays_at_object(rays, own, shaded, object_from_anchor[row], half[row], chosen, local)
        shaded[chosen[:n][casters.mesh(actors.mesh[row]).blocked(local[:n])]] = True
    return shaded


@kernel
def _candidates(
    rays: F32, axes: F64, center: F64, radius: F64, low: F64, size: float, shape: I64, first: I64, rows: I32
) -> tuple[I64, I32]:
    """Rays to the sun that meet each object's ball: where each object's begin (K + 1,), and the rays."""
    n, m = len(rays), axes
    cells = np.empty(n, dtype=np.int32)
    begin = np.zeros(len(center) + 1, dtype=np.int64)
    for counted in range(2):
        if counted == 1:
            for row in range(len(center)):
                begin[row + 1] += begin[row]
            fill, found = begin[:-1].copy(), np.empty(begin[-1], dtype=np.int32)
        for i in range(n):
            x, y, z = rays[i, 0], rays[i, 1], rays[i, 2]
            across = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z
            aside = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z
            if counted == 0:
                cells[i] = cell_at(across, aside, low, size, shape)
            cell = cells[i]
            if cell < 0 or first[cell] == first[cell + 1]:
                continue
            along = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z
            for k in range(first[cell], first[cell + 1]):
                row = rows[k]
                off2 = (center[row, 0] - across) ** 2 + (center[row, 1] - aside) ** 2
                if off2 > radius[row] ** 2 or center[row, 2] + radius[row] < along:
                    continue
                if counted == 0:
                    begin[row + 1] += 1
                else:
                    found[fill[row]] = i
                    fill[row] += 1
    return begin, found


@kernel
def _rays_at_object(
    rays: F32, candidates: I32, shaded: Bool, object_from_anchor: F64, half: F64, chosen: I32, local: F32
) -> int:
    """Rays of the candidates that enter a cuboid, in its frame."""
    m = object_from_anchor
    n = 0
    for i in candidates:
        if shaded[i]:
            continue
        x, y, z = rays[i, 0], rays[i, 1], rays[i, 2]
        ox = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]
        oy = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]
        oz = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
        x, y, z = rays[i, 3], rays[i, 4], rays[i, 5]
        dx = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z
        dy = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z
        dz = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z
        if enters(ox, oy, oz, dx, dy, dz, half):
            chosen[n] = i
            local[n, 0], local[n, 1], local[n, 2] = ox, oy, oz
            local[n, 3], local[n, 4], local[n, 5] = dx, dy, dz
            n += 1
    return n
