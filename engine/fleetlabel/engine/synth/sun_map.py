"""What stands still as the sun sees it: which points are in its shade.

Seen from the sun, a point is in the shade of the triangles that cover it and are nearer to the sun. Each point asks
the few triangles of its own cell; the map is made once per scenery, since the sun stands still in a drive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.synth.cells import Cells, cell_at
from fleetlabel.geometry.arrays import F32, F64, I32, I64
from fleetlabel.geometry.compiled import kernel

_CELL_M = 0.75
# The ground shades nothing, and is most of the area: all that is hardly higher than the lowest foundations.
_FLAT_M = 0.12
_OVERLAP_M = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class SunMap:
    """Triangles seen from the sun.

    Attributes:
        from_frame: (3, 3) rows: two axes across the sun's direction, and the direction towards it.
        cells: across the sun's direction, with the triangles that may cover a place in them.
        edges: (T, 3, 3) each edge times (x, y, 1) is the distance inside of it across the sun's direction.
        height: (T, 3) the triangle's plane: times (x, y, 1) it is the place along the sun's direction.
    """

    from_frame: F64
    cells: Cells
    edges: F64
    height: F64

    @classmethod
    def of(cls, vertices_m: F32, triangles: I32, sun_direction: F64) -> SunMap:
        """The map of a mesh: vertices (V, 3), triangles (T, 3)."""
        axes = _across(sun_direction)
        corners = vertices_m[triangles].astype(np.float64)
        tall = corners[:, :, 2].max(axis=1) > corners[:, :, 2].min(initial=np.inf) + _FLAT_M
        seen = corners[tall] @ axes.T
        following = np.roll(seen, -1, axis=1)
        normal = np.cross(seen[:, 1] - seen[:, 0], seen[:, 2] - seen[:, 0])
        covers = np.abs(normal[:, 2]) > 1e-9
        seen, following, normal = seen[covers], following[covers], normal[covers]
        way = (following - seen)[:, :, :2]
        way *= np.sign(normal[:, 2])[:, None, None]
        way /= np.maximum(np.linalg.norm(way, axis=2, keepdims=True), 1e-12)
        left = np.stack([-way[:, :, 1], way[:, :, 0]], axis=-1)
        edges = np.concatenate([left, -np.sum(left * seen[:, :, :2], axis=-1, keepdims=True)], axis=-1)
        slope = -normal[:, :2] / normal[:, 2:]
        rest = seen[:, 0, 2:] - np.sum(slope * seen[:, 0, :2], axis=1, keepdims=True)
        low, high = seen[:, :, :2].min(axis=1), seen[:, :, :2].max(axis=1)
        cells = Cells.around(low, high, _CELL_M)
        return cls(axes, cells, edges, np.concatenate([slope, rest], axis=1))


def _across(direction: F64) -> F64:
    """Axes (3, 3): two across a direction, and itself."""
    side = np.cross(direction, [0.0, 0.0, 1.0] if abs(direction[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    return np.stack([side, np.cross(direction, side), direction])


@kernel
def in_shade(
    x: float, y: float, z: float, from_frame: F64, low: F64, size: float, shape: I64, first: I64, rows: I32,
    edges: F64, height: F64,
) -> bool:  # fmt: skip
    """Whether a triangle of a :class:`SunMap` is between a place and the sun."""
    m = from_frame
    across = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z
    aside = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z
    along = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z
    cell = cell_at(across, aside, low, size, shape)
    if cell < 0:
        return False
    for i in range(first[cell], first[cell + 1]):
        row = rows[i]
        if height[row, 0] * across + height[row, 1] * aside + height[row, 2] <= along:
            continue
        e = edges[row]
        if (
            e[0, 0] * across + e[0, 1] * aside + e[0, 2] >= -_OVERLAP_M
            and e[1, 0] * across + e[1, 1] * aside + e[1, 2] >= -_OVERLAP_M
            and e[2, 0] * across + e[2, 1] * aside + e[2, 2] >= -_OVERLAP_M
        ):
            return True
    return False
