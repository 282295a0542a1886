"""Building blocks of meshes: boxes, lofts, limbs, discs and balls, all closed and facing outwards, and their union."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from fleetlabel.engine.synth.scene import Material, Mesh
from fleetlabel.geometry.arrays import F64, I64, U8

# Corners of a box as signs, and its faces counter-clockwise from outside.
_SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
_BOX_QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


class Shape:
    """A mesh in the making: parts are added, then taken as one :class:`Mesh`."""

    def __init__(self) -> None:
        self._vertices: list[F64] = []
        self._triangles: list[I64] = []
        self._material: list[U8] = []
        self._tint: list[U8] = []
        self._count = 0

    def add(
        self, vertices: F64, triangles: I64, material: Material, tint: tuple[int, int, int] = (0, 0, 0)
    ) -> None:
        """Add a part: vertices (V, 3), triangles (T, 3) of its own rows."""
        self._triangles.append(triangles + self._count)
        self._vertices.append(vertices)
        self._material.append(np.full(triangles.shape[0], material, dtype=np.uint8))
        self._tint.append(np.tile(np.array(tint, dtype=np.uint8), (triangles.shape[0], 1)))
        self._count += vertices.shape[0]

    def quads(self, corners: F64, material: Material, tint: tuple[int, int, int] = (0, 0, 0)) -> None:
        """Add quads (Q, 4, 3), corners counter-clockwise from outside."""
        rows = np.arange(corners.shape[0])[:, None] * 4
        triangles = np.concatenate([rows + np.array([0, 1, 2]), rows + np.array([0, 2, 3])])
        self.add(corners.reshape(-1, 3), triangles, material, tint)

    def box(
        self, center: tuple[float, float, float], size: tuple[float, float, float], material: Material
    ) -> None:
        """Add an upright box."""
        vertices = np.array(center) + 0.5 * _SIGNS * np.array(size)
        self.add(vertices, _fan(_BOX_QUADS), material)

    def loft(self, rings: F64, material: Material) -> None:
        """Add a closed body through rings (R, N, 3).

        Each ring is counter-clockwise as seen from the last ring's side, so that the body faces outwards.
        """
        self.add(rings.reshape(-1, 3), _loft_triangles(*rings.shape[:2]), material)

    def limb(
        self,
        start: tuple[float, float, float],
        stop: tuple[float, float, float],
        radii: tuple[float, float],
        material: Material,
        sides: int = 6,
    ) -> None:
        """Add a tapered prism from one point to another."""
        a, b = np.array(start), np.array(stop)
        x, y, z = ((b - a) / math.dist(start, stop)).tolist()
        # Two directions across the axis: with y or, where the axis is y, with x.
        u = np.array([-z, 0.0, x]) if abs(y) < 0.9 else np.array([0.0, z, -y])
        u /= math.sqrt(float(u @ u))
        v = np.array([y * u[2] - z * u[1], z * u[0] - x * u[2], x * u[1] - y * u[0]])
        ring = _circle(sides) @ np.stack([u, v])
        self.loft(np.array([a + radii[0] * ring, b + radii[1] * ring]), material)

    def disc(
        self,
        center: tuple[float, float, float],
        radius: float,
        half_width: float,
        material: Material,
        sides: int,
    ) -> None:
        """Add a wheel-like cylinder about an axis along y."""
        x, y, z = center
        self.limb((x, y - half_width, z), (x, y + half_width, z), (radius, radius), material, sides)

    def tyre(
        self, center: tuple[float, float, float], radius: float, thickness: float, half_width: float
    ) -> None:
        """Add an annulus about an axis along y: a bicycle's tyre."""
        angle = 2.0 * np.pi * np.arange(16) / 16
        outward = np.stack([np.cos(angle), np.zeros(16), np.sin(angle)], axis=-1)
        side = np.array([0.0, half_width, 0.0])
        outer, inner = radius * outward, (radius - thickness) * outward
        rings = np.stack([outer - side, inner - side, inner + side, outer + side], axis=1) + np.array(center)
        i, j = np.meshgrid(np.arange(16), np.arange(4), indexing="ij")
        a, b = i * 4 + j, i * 4 + (j + 1) % 4
        c, d = (i + 1) % 16 * 4 + (j + 1) % 4, (i + 1) % 16 * 4 + j
        triangles = np.concatenate(
            [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
        )
        self.add(rings.reshape(-1, 3), triangles, Material.RUBBER)

    def ball(
        self, center: tuple[float, float, float], radii: tuple[float, float, float], material: Material
    ) -> None:
        """Add an ellipsoid of 80 triangles."""
        self.add(np.array(center) + BALL_VERTICES * np.array(radii), BALL_TRIANGLES, material)

    def vertices(self) -> F64:
        """Vertices (V, 3) so far."""
        return np.concatenate(self._vertices)

    def mesh(self, key: str, vertices: F64) -> Mesh:
        """The mesh of all parts with its vertices moved to ``vertices`` (V, 3)."""
        return Mesh(
            key,
            np.ascontiguousarray(vertices, dtype=np.float32),
            np.concatenate(self._triangles).astype(np.int32),
            np.concatenate(self._material),
            np.concatenate(self._tint),
        )


def filling(vertices: F64) -> tuple[F64, F64]:
    """Vertices moved so that their extent is centred, and that extent (3,), exact in float32."""
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    half: F64 = (0.5 * (high - low)).astype(np.float32).astype(np.float64)
    moved = np.clip(vertices - 0.5 * (low + high), -half, half)
    return moved, 2.0 * half


@lru_cache(maxsize=64)
def _loft_triangles(count: int, around: int) -> I64:
    """Triangles between ``count`` rings of ``around`` vertices, and over both ends."""
    i, j = np.meshgrid(np.arange(count - 1), np.arange(around), indexing="ij")
    following = (j + 1) % around
    quads = np.stack([i * around + j, i * around + following, (i + 1) * around + following], axis=-1)
    others = np.stack([i * around + j, (i + 1) * around + following, (i + 1) * around + j], axis=-1)
    fan = np.arange(1, around - 1)
    first = np.stack([0 * fan, fan + 1, fan], axis=-1)
    last = (count - 1) * around + np.stack([0 * fan, fan, fan + 1], axis=-1)
    return np.concatenate([quads.reshape(-1, 3), others.reshape(-1, 3), first, last])


@lru_cache(maxsize=16)
def _circle(sides: int) -> F64:
    angle = 2.0 * np.pi * np.arange(sides) / sides
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _fan(quads: I64) -> I64:
    """Triangles (2 Q, 3) of quads (Q, 4)."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def _unit_ball() -> tuple[F64, I64]:
    """An icosahedron split once: 42 vertices, 80 triangles."""
    g = (1.0 + 5.0**0.5) / 2.0
    corners = np.array(
        [
            *((-1, g, 0), (1, g, 0), (-1, -g, 0), (1, -g, 0), (0, -1, g), (0, 1, g)),
            *((0, -1, -g), (0, 1, -g), (g, 0, -1), (g, 0, 1), (-g, 0, -1), (-g, 0, 1)),
        ],
        dtype=np.float64,
    )
    faces = np.array(
        [
            *((0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11)),
            *((1, 5, 9), (5, 11, 4), (11, 10, 2), (10, 7, 6), (7, 1, 8)),
            *((3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9)),
            *((4, 9, 5), (2, 4, 11), (6, 2, 10), (8, 6, 7), (9, 8, 1)),
        ]
    )
    a, b, c = corners[faces[:, 0]], corners[faces[:, 1]], corners[faces[:, 2]]
    ab, bc, ca = a + b, b + c, c + a
    split = np.stack([a, ab, ca, b, bc, ab, c, ca, bc, ab, bc, ca], axis=1).reshape(-1, 3)
    split /= np.linalg.norm(split, axis=1, keepdims=True)
    vertices, rows = np.unique(np.round(split, 9), axis=0, return_inverse=True)
    return vertices, rows.reshape(-1, 3)


BALL_VERTICES, BALL_TRIANGLES = _unit_ball()
