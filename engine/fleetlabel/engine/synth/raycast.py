"""Rays against meshes: what each ray of a camera or a lidar meets first, and which points the sun does not reach.

Scenery is cast as one mesh per set of blocks. An object is cast in its own frame: the rays that may hit its cuboid
are carried into it, so that no structure is ever rebuilt for something that moves, and an object may stand at another
pose for every ray (a lidar turns while it drives by).

Everything is cast by one thread (the rays of other pictures keep the other cores busy), and a structure is built by
one thread too: which of two triangles a ray meets on their common edge must not depend on the weather.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from fleetlabel.engine.synth.scene import Mesh, Scene
from fleetlabel.engine.synth.sun_map import SunMap
from fleetlabel.geometry.arrays import F32, F64, I32, U8, Bool
from fleetlabel.geometry.compiled import kernel

NOTHING = -1  # triangle of a ray that meets nothing
_KEPT_MESHES = 512
_KEPT_SCENERIES = 3  # sensors of one frame look from slightly different places

Value = TypeVar("Value")


class MeshCaster:
    """One mesh, ready for rays.

    Attributes:
        vertices_m: (V, 3) float32 and ``triangles`` (T, 3) int32.
        normal: (T, 3) float32 unit normals of its triangles.
        material: (T,) uint8.
        tint_rgb: (T, 3) uint8.
    """

    def __init__(self, vertices_m: F32, triangles: I32, material: U8, tint_rgb: U8) -> None:
        import open3d

        self.vertices_m, self.triangles = vertices_m, triangles
        self.material, self.tint_rgb = material, tint_rgb
        self.normal = _normals(vertices_m, triangles)
        self._tensor = open3d.core.Tensor.from_numpy
        self._scene: Any = open3d.t.geometry.RaycastingScene(nthreads=1)
        self._scene.add_triangles(
            self._tensor(np.ascontiguousarray(vertices_m, dtype=np.float32)),
            self._tensor(np.ascontiguousarray(triangles, dtype=np.uint32)),
        )
        self.first(np.zeros((1, 6), dtype=np.float32))  # builds it now, before threads share it

    def first(self, rays: F32) -> tuple[F32, I32]:
        """Distance (N,) in lengths of the direction, infinite for a miss, and triangle (N,) that rays meet first.

        Args:
            rays: (N, 6) float32 origin and direction in the mesh's frame.
        """
        if not len(rays):
            return np.empty(0, np.float32), np.empty(0, np.int32)
        found = self._scene.cast_rays(self._tensor(rays), nthreads=1)
        # A miss is the largest uint32, which is -1.
        return found["t_hit"].numpy(), found["primitive_ids"].numpy().view(np.int32)

    def blocked(self, rays: F32) -> Bool:
        """Which rays (N, 6) meet anything, (N,)."""
        if not len(rays):
            return np.empty(0, dtype=np.bool_)
        blocked: Bool = self._scene.test_occlusions(self._tensor(rays), nthreads=1).numpy()
        return blocked


@dataclass(frozen=True, slots=True, eq=False)
class Scenery:
    """What stands still around a place.

    Attributes:
        anchor_m: (3,) whole metres; the caster's frame is the world less this, so that float32 is exact to a tenth of
            a millimetre anywhere.
        caster: of all blocks around.
        sun_map: of their shadows, in the caster's frame.
    """

    anchor_m: F64
    caster: MeshCaster
    sun_map: SunMap


class Casters:
    """The structures of one world that were needed last, found by what they are made of."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._meshes: _Recent[MeshCaster] = _Recent(_KEPT_MESHES)
        self._sceneries: _Recent[Scenery] = _Recent(_KEPT_SCENERIES)

    def mesh(self, mesh: Mesh) -> MeshCaster:
        """An object's mesh, in its own frame."""
        return self._meshes.get(
            mesh.key, lambda: MeshCaster(mesh.vertices_m, mesh.triangles, mesh.material, mesh.tint_rgb)
        )

    def scenery(self, place_m: F64) -> Scenery:
        """What stands still around a place (3,) in the world."""
        blocks = self._scene.blocks_near(place_m)
        return self._sceneries.get(blocks, lambda: self._build(blocks))

    def _build(self, blocks: tuple[int, ...]) -> Scenery:
        meshes = [self._scene.block(number) for number in blocks]
        anchor: F64 = np.zeros(3)
        if not meshes:
            return self._scenery(anchor, MeshCaster(*_no_triangles()))
        # Of the first block, not of the place: the same blocks are the same structure wherever they are seen from.
        anchor[:2] = np.round(meshes[0].vertices_m[:, :2].mean(axis=0, dtype=np.float64))
        first = np.cumsum([0, *(len(mesh.vertices_m) for mesh in meshes[:-1])])
        vertices = np.concatenate([mesh.vertices_m for mesh in meshes]).astype(np.float64) - anchor
        triangles = np.concatenate([mesh.triangles + row for mesh, row in zip(meshes, first, strict=True)])
        return self._scenery(
            anchor,
            MeshCaster(
                vertices.astype(np.float32),
                triangles.astype(np.int32),
                np.concatenate([mesh.material for mesh in meshes]),
                np.concatenate([mesh.tint_rgb for mesh in meshes]),
            ),
        )

    def _scenery(self, anchor_m: F64, caster: MeshCaster) -> Scenery:
        sun = self._scene.light.sun_direction
        return Scenery(anchor_m, caster, SunMap.of(caster.vertices_m, caster.triangles, sun))


class _Recent(Generic[Value]):
    """A few values that cost something to make, the least recently used dropped first; any thread may ask."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
                if len(self._values) > self._kept:
                    self._values.popitem(last=False)
            self._values.move_to_end(key)
            return self._values[key]


@kernel
def enters(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, half_m: F64) -> bool:
    """Whether a ray meets a box around the origin (slab test)."""
    low, high = 0.0, np.inf
    for axis in range(3):
        o = ox if axis == 0 else (oy if axis == 1 else oz)
        d = dx if axis == 0 else (dy if axis == 1 else dz)
        half = half_m[axis]
        if abs(d) < 1e-12:
            if abs(o) > half:
                return False
            continue
        one, other = (-half - o) / d, (half - o) / d
        low = max(low, min(one, other))
        high = min(high, max(one, other))
    return low <= high


def _normals(vertices_m: F32, triangles: I32) -> F32:
    corners = vertices_m[triangles].astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    unit: F32 = (normal / np.maximum(length, 1e-12)).astype(np.float32)
    return unit


def _no_triangles() -> tuple[F32, I32, U8, U8]:
    """One triangle far below everything: an empty structure cannot be cast."""
    vertices = np.array([[0, 0, -1e4], [1, 0, -1e4], [0, 1, -1e4]], dtype=np.float32)
    return vertices, np.array([[0, 1, 2]], np.int32), np.zeros(1, np.uint8), np.zeros((1, 3), np.uint8)
