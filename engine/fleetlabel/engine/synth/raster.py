"""Triangles drawn into a picture, tile by tile: what each ray of a camera meets first, without following the rays.

A lens that bends lines is drawn exactly: pixels are looked up where an ideal pinhole would have them, in the plane of
:class:`Grid`, in which triangles stay triangles however the picture is distorted. Edges are tested with homogeneous
coordinates (Olano and Greer, 1997), so that nothing is clipped. It meets the same triangles as rays that are followed
through a tree, and takes a tenth of the time, since neighbouring pixels share nearly all of the work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F32, F64, I32, I64, Bool
from fleetlabel.geometry.compiled import kernel

TILE = 16
_PIXELS = TILE * TILE
NOTHING = -1
# Nothing that a lens sees is nearer than this along its axis; only bounds of what is drawn depend on it.
_NEAR_M = 0.02
# Neighbours overlap by this much of the focal length, a hundred-thousandth of a pixel: no ray slips between them.
_OVERLAP = np.float32(1e-8)
# Of two faces in one plane (a plate on a car's back) the later one in the mesh is seen, not either by chance.
_TIE = np.float32(1 - 2e-6)


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Where the rays of a lens meet the plane one metre ahead, in tiles of :data:`TILE` by :data:`TILE` pixels.

    Tiles that stick out of the picture repeat its last pixels.

    Attributes:
        center: (R, C, 2) float64 middle of each tile in the plane, x to the right and y down.
        half: (R, C, 2) float64 half the extent of its pixels around it.
        offset: (2, R, C, 256) float32 places of its pixels less the middle, row by row.
        ahead: (R, C, 256) float32 share of a unit ray that goes ahead: depth along the axis by depth along the ray.
    """

    center: F64
    half: F64
    offset: F32
    ahead: F32

    @classmethod
    def of(cls, directions: F32) -> Grid:
        """The grid of unit rays (H, W, 3), all of which go ahead."""
        height, width = directions.shape[:2]
        rows, columns = -(-height // TILE), -(-width // TILE)
        y = np.minimum(np.arange(rows * TILE), height - 1)
        x = np.minimum(np.arange(columns * TILE), width - 1)
        whole = directions[y[:, None], x].astype(np.float64)
        tiles = whole.reshape(rows, TILE, columns, TILE, 3).swapaxes(1, 2).reshape(rows, columns, _PIXELS, 3)
        place = tiles[..., :2] / tiles[..., 2:]
        low, high = place.min(axis=2), place.max(axis=2)
        center = 0.5 * (low + high)
        offset = np.moveaxis(place - center[:, :, None], -1, 0)
        return cls(
            center,
            0.5 * (high - low),
            np.ascontiguousarray(offset, dtype=np.float32),
            np.ascontiguousarray(tiles[..., 2], dtype=np.float32),
        )

    def may_hold(self, center_m: F64, radius_m: F64) -> Bool:
        """Which balls (K,), centres (K, 3) in the camera frame, may reach into the picture."""
        low = (self.center - self.half).min(axis=(0, 1))
        high = (self.center + self.half).max(axis=(0, 1))
        x, y, z = center_m.T
        out = np.stack(
            [
                (low[0] * z - x) / np.hypot(1.0, low[0]),
                (x - high[0] * z) / np.hypot(1.0, high[0]),
                (low[1] * z - y) / np.hypot(1.0, low[1]),
                (y - high[1] * z) / np.hypot(1.0, high[1]),
                -z,
            ]
        )
        reaches: Bool = out.max(axis=0) <= radius_m
        return reaches


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """What is drawn so far, tile by tile.

    Attributes:
        nearness: (R, C, 256) float32 one over the depth along the axis in metres; zero where there is nothing.
        triangle: (R, C, 256) int32, :data:`NOTHING` where there is nothing.
    """

    nearness: F32
    triangle: I32

    @classmethod
    def blank(cls, grid: Grid) -> Canvas:
        """A canvas of nothing."""
        shape = grid.ahead.shape
        return cls(np.zeros(shape, dtype=np.float32), np.full(shape, NOTHING, dtype=np.int32))


def draw(grid: Grid, camera_from_mesh: F64, vertices_m: F32, triangles: I32, canvas: Canvas) -> I64:
    """Draws a mesh over what is farther away.

    Args:
        camera_from_mesh: (4, 4).
        vertices_m: (V, 3) and ``triangles`` (T, 3) of the mesh.
        canvas: drawn on.

    Returns:
        (4,) first and last tile row, first and last tile column that may have been touched, the last ones exclusive.
    """
    return _draw(
        grid.center, grid.half, grid.offset, np.ascontiguousarray(camera_from_mesh), vertices_m, triangles,
        canvas.nearness, canvas.triangle,
    )  # fmt: skip


@kernel
def _draw(
    center: F64, half: F64, offset: F32, camera_from_mesh: F64, vertices: F32, triangles: I32,
    nearness: F32, drawn: I32,
) -> I64:  # fmt: skip
    rows, columns = center.shape[0], center.shape[1]
    # Extents of whole rows and columns of tiles: what a triangle may touch is found by them first.
    left, right = np.empty(columns), np.empty(columns)
    for c in range(columns):
        left[c] = (center[:, c, 0] - half[:, c, 0]).min()
        right[c] = (center[:, c, 0] + half[:, c, 0]).max()
    top, bottom = np.empty(rows), np.empty(rows)
    for r in range(rows):
        top[r] = (center[r, :, 1] - half[r, :, 1]).min()
        bottom[r] = (center[r, :, 1] + half[r, :, 1]).max()
    touched = np.array([rows, 0, columns, 0])
    place = _placed(vertices, camera_from_mesh)
    edge, bounds = np.empty((3, 3)), np.empty(4)
    for t in range(len(triangles)):
        a, b, c = place[triangles[t, 0]], place[triangles[t, 1]], place[triangles[t, 2]]
        if not _bounds(a, b, c, bounds):
            continue
        if bounds[0] > right[-1] or bounds[1] < left[0] or bounds[2] > bottom[-1] or bounds[3] < top[0]:
            continue
        facing = _edges(a, b, c, edge)
        if facing == 0.0:
            continue
        first_column, last_column = 0, columns
        while right[first_column] < bounds[0]:
            first_column += 1
        while left[last_column - 1] > bounds[1]:
            last_column -= 1
        first_row, last_row = 0, rows
        while bottom[first_row] < bounds[2]:
            first_row += 1
        while top[last_row - 1] > bounds[3]:
            last_row -= 1
        touched[0], touched[1] = min(touched[0], first_row), max(touched[1], last_row)
        touched[2], touched[3] = min(touched[2], first_column), max(touched[3], last_column)
        for row in range(first_row, last_row):
            for column in range(first_column, last_column):
                _draw_in_tile(
                    t, edge, facing, bounds, center[row, column], half[row, column],
                    offset[0, row, column], offset[1, row, column],
                    nearness[row, column], drawn[row, column],
                )  # fmt: skip
    return touched


@kernel
def _placed(vertices: F32, camera_from_mesh: F64) -> F64:
    m = camera_from_mesh
    place = np.empty((len(vertices), 3))
    for i in range(len(vertices)):
        x, y, z = float(vertices[i, 0]), float(vertices[i, 1]), float(vertices[i, 2])
        for axis in range(3):
            place[i, axis] = m[axis, 0] * x + m[axis, 1] * y + m[axis, 2] * z + m[axis, 3]
    return place


@kernel
def _bounds(a: F64, b: F64, c: F64, bounds: F64) -> bool:
    """Least and greatest x and y in the plane of the part of a triangle that is ahead; whether there is any."""
    bounds[0], bounds[1], bounds[2], bounds[3] = np.inf, -np.inf, np.inf, -np.inf
    for i in range(3):
        p = a if i == 0 else (b if i == 1 else c)
        q = b if i == 0 else (c if i == 1 else a)
        if p[2] >= _NEAR_M:
            x, y = p[0] / p[2], p[1] / p[2]
            bounds[0], bounds[1] = min(bounds[0], x), max(bounds[1], x)
            bounds[2], bounds[3] = min(bounds[2], y), max(bounds[3], y)
        if (p[2] >= _NEAR_M) != (q[2] >= _NEAR_M):
            share = (_NEAR_M - p[2]) / (q[2] - p[2])
            x = (p[0] + share * (q[0] - p[0])) / _NEAR_M
            y = (p[1] + share * (q[1] - p[1])) / _NEAR_M
            bounds[0], bounds[1] = min(bounds[0], x), max(bounds[1], x)
            bounds[2], bounds[3] = min(bounds[2], y), max(bounds[3], y)
    return bool(bounds[0] <= bounds[1])


@kernel
def _edges(a: F64, b: F64, c: F64, edge: F64) -> float:
    """Planes through the eye and each edge, positive towards the triangle; six times the volume with the eye.

    An edge times (x, y, 1) is, but for a positive factor, how far inside of it a place in the plane is. All three
    together, by the volume, are one over the depth there.
    """
    for i in range(3):
        p = b if i == 0 else (c if i == 1 else a)
        q = c if i == 0 else (a if i == 1 else b)
        edge[i, 0] = p[1] * q[2] - p[2] * q[1]
        edge[i, 1] = p[2] * q[0] - p[0] * q[2]
        edge[i, 2] = p[0] * q[1] - p[1] * q[0]
    volume = a[0] * edge[0, 0] + a[1] * edge[0, 1] + a[2] * edge[0, 2]
    if volume < 0:
        for i in range(3):
            for axis in range(3):
                edge[i, axis] = -edge[i, axis]
    return float(abs(volume))


@kernel
def _draw_in_tile(
    number: int, edge: F64, volume: float, bounds: F64, center: F64, half: F64, x: F32, y: F32,
    nearness: F32, drawn: I32,
) -> None:  # fmt: skip
    if (
        center[0] - half[0] > bounds[1] or center[0] + half[0] < bounds[0]
        or center[1] - half[1] > bounds[3] or center[1] + half[1] < bounds[2]
    ):  # fmt: skip
        return
    one = _across(edge[0], center)
    two = _across(edge[1], center)
    three = _across(edge[2], center)
    least = np.float32(np.inf)
    for plane in (one, two, three):
        reach = abs(plane[0]) * half[0] + abs(plane[1]) * half[1]
        if plane[2] < -reach - 1e-7:
            return
        least = min(least, plane[2] - reach)
    nx = np.float32((edge[0, 0] + edge[1, 0] + edge[2, 0]) / volume)
    ny = np.float32((edge[0, 1] + edge[1, 1] + edge[2, 1]) / volume)
    nz = np.float32(
        (
            (edge[0, 0] + edge[1, 0] + edge[2, 0]) * center[0]
            + (edge[0, 1] + edge[1, 1] + edge[2, 1]) * center[1]
            + (edge[0, 2] + edge[1, 2] + edge[2, 2])
        )
        / volume
    )
    triangle = np.int32(number)
    if least > 1e-7:
        for i in range(_PIXELS):
            near = nx * x[i] + ny * y[i] + nz
            nearer = near > nearness[i] * _TIE
            nearness[i] = near if nearer else nearness[i]
            drawn[i] = triangle if nearer else drawn[i]
        return
    for i in range(_PIXELS):
        near = nx * x[i] + ny * y[i] + nz
        inside = min(
            one[0] * x[i] + one[1] * y[i] + one[2],
            min(two[0] * x[i] + two[1] * y[i] + two[2], three[0] * x[i] + three[1] * y[i] + three[2]),
        )
        nearer = (near > nearness[i] * _TIE) & (inside >= -_OVERLAP)
        nearness[i] = near if nearer else nearness[i]
        drawn[i] = triangle if nearer else drawn[i]


@kernel
def _across(edge: F64, center: F64) -> tuple[np.float32, np.float32, np.float32]:
    """An edge as distance in the plane: per step to the right, per step down, and at a tile's middle."""
    length = max(np.sqrt(edge[0] * edge[0] + edge[1] * edge[1]), 1e-300)
    middle = (edge[0] * center[0] + edge[1] * center[1] + edge[2]) / length
    return np.float32(edge[0] / length), np.float32(edge[1] / length), np.float32(middle)
