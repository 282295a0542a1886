"""What every pixel of a picture meets: distance, object and triangle, and every object's outline as if alone.

The whole picture is exposed at one instant. Rays go through pixel centres, (0.5, 0.5) and on, by the inverse of the
camera's own projection, so that pictures are distorted exactly as their calibration says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.synth.raycast import Casters, Scenery
from fleetlabel.engine.synth.scene import Actors, Scene
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F32, F64, I32, I64, Bool
from fleetlabel.geometry.compiled import kernel
from fleetlabel.model.cameras import CameraModel

SKY = -2
SCENERY = -1
TILE = 16
# A mesh fills its cuboid to the last bit of float32; a ray along a face must not miss the cuboid.
_MARGIN_M = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Lens:
    """Rays of a camera's pixels, and cones around square tiles of them, by which objects find their pixels.

    Attributes:
        directions: (H, W, 3) float32 unit rays in the camera frame.
        tile_axis: (T, 3) and ``tile_angle`` (T,): cones that hold the rays of each tile, row by row of tiles.
        tiles_across: tiles in a row.
    """

    directions: F32
    tile_axis: F64
    tile_angle: F64
    tiles_across: int

    @classmethod
    def of(cls, camera: CameraModel) -> Lens:
        """The rays of a camera."""
        height, width = camera.height_px, camera.width_px
        v, u = np.mgrid[0:height, 0:width]
        uv = np.stack([u.ravel(), v.ravel()], axis=1) + 0.5
        rays = camera.unproject(uv).reshape(height, width, 3)
        axes, angles = [], []
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                tile = rays[top : top + TILE, left : left + TILE].reshape(-1, 3)
                axis = tile.mean(axis=0)
                axis /= np.linalg.norm(axis)
                axes.append(axis)
                angles.append(np.arccos(min(1.0, float((tile @ axis).min()))))
        return cls(rays.astype(np.float32), np.array(axes), np.array(angles), -(-width // TILE))

    def tiles_around(self, center: F64, radius_m: F64) -> Bool:
        """Which tiles (K, T) may see spheres: centres (K, 3) in the camera frame and radii (K,)."""
        distance = np.linalg.norm(center, axis=1)
        outside = distance > radius_m
        spread = np.where(
            outside, np.arcsin(np.where(outside, radius_m / np.maximum(distance, 1e-9), 0)), np.pi
        )
        cosine = (center / np.maximum(distance, 1e-9)[:, None]) @ self.tile_axis.T
        apart = np.arccos(np.clip(cosine, -1.0, 1.0))
        near: Bool = apart <= spread[:, None] + self.tile_angle + 1e-6
        return near


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What a camera sees at an instant.

    Attributes:
        world_from_camera: (4, 4) where it truly was.
        scenery: around it.
        actors: objects that may be in the picture or cast a shadow into it.
        depth_m: (H, W) float32 along the ray, infinite for the sky.
        owner: (H, W) int32 row of ``actors``, :data:`SCENERY` or :data:`SKY`.
        triangle: (H, W) int32 of the owner's mesh.
        outline_px: (K,) int64 pixels that each object would cover if nothing hid it.
        outline_xyxy_px: (K, 4) float64 pixel edges around them; zeros if there are none.
    """

    world_from_camera: F64
    scenery: Scenery
    actors: Actors
    depth_m: F32
    owner: I32
    triangle: I32
    outline_px: I64
    outline_xyxy_px: F64


def look(scene: Scene, casters: Casters, lens: Lens, world_from_camera: F64, time_ns: int) -> Sight:
    """Casts a picture's rays.

    Args:
        world_from_camera: (4, 4) at the exposure.
        time_ns: of the exposure, from the start of the drive.
    """
    actors = scene.actors(time_ns)
    height, width = lens.directions.shape[:2]
    scenery = casters.scenery(world_from_camera[:3, 3])
    directions = lens.directions.reshape(-1, 3)
    rays = np.empty((height * width, 6), dtype=np.float32)
    rays[:, :3] = world_from_camera[:3, 3] - scenery.anchor_m
    np.matmul(directions, world_from_camera[:3, :3].T.astype(np.float32), out=rays[:, 3:])
    depth, triangle = scenery.caster.first(rays)
    owner = np.where(triangle >= 0, np.int32(SCENERY), np.int32(SKY))
    n = len(actors.object_id)
    count, box = np.zeros(n, dtype=np.int64), np.zeros((n, 4))
    camera_from_world = se3.invert(world_from_camera)
    radius = 0.5 * np.linalg.norm(actors.size_lwh_m, axis=1)
    near = lens.tiles_around(se3.apply(camera_from_world, actors.center_m), radius)
    world_from_object = se3.transform(quaternion.to_matrix(actors.q_wxyz), actors.center_m)
    object_from_camera = se3.invert(world_from_object) @ world_from_camera
    for row in np.flatnonzero(near.any(axis=1)):
        tiles = np.flatnonzero(near[row])
        pixels, local = _rays_into_cuboid(
            lens, tiles, object_from_camera[row], 0.5 * actors.size_lwh_m[row] + _MARGIN_M
        )
        distance, hit = casters.mesh(actors.mesh[row]).first(local)
        count[row], *box[row] = _merge(pixels, distance, hit, int(row), width, depth, owner, triangle)
    shape = (height, width)
    return Sight(
        world_from_camera, scenery, actors, depth.reshape(shape), owner.reshape(shape), triangle.reshape(shape),
        count, box,
    )  # fmt: skip


def _rays_into_cuboid(lens: Lens, tiles: I64, object_from_camera: F64, half_m: F64) -> tuple[I32, F32]:
    """Pixels (M,) of some tiles whose rays enter a cuboid, and these rays (M, 6) in the object's frame."""
    most = len(tiles) * TILE * TILE
    pixels, rays = np.empty(most, dtype=np.int32), np.empty((most, 6), dtype=np.float32)
    n = _select(
        lens.directions,
        tiles,
        lens.tiles_across,
        np.ascontiguousarray(object_from_camera),
        half_m,
        pixels,
        rays,
    )
    return pixels[:n], rays[:n]


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


@kernel
def _select(
    directions: F32,
    tiles: I64,
    tiles_across: int,
    object_from_camera: F64,
    half_m: F64,
    pixels: I32,
    rays: F32,
) -> int:
    height, width = directions.shape[0], directions.shape[1]
    m = object_from_camera
    ox, oy, oz = m[0, 3], m[1, 3], m[2, 3]
    n = 0
    for tile in tiles:
        top, left = tile // tiles_across * TILE, tile % tiles_across * TILE
        for y in range(top, min(top + TILE, height)):
            for x in range(left, min(left + TILE, width)):
                cx, cy, cz = directions[y, x, 0], directions[y, x, 1], directions[y, x, 2]
                dx = m[0, 0] * cx + m[0, 1] * cy + m[0, 2] * cz
                dy = m[1, 0] * cx + m[1, 1] * cy + m[1, 2] * cz
                dz = m[2, 0] * cx + m[2, 1] * cy + m[2, 2] * cz
                if enters(ox, oy, oz, dx, dy, dz, half_m):
                    pixels[n] = y * width + x
                    rays[n, 0], rays[n, 1], rays[n, 2] = ox, oy, oz
                    rays[n, 3], rays[n, 4], rays[n, 5] = dx, dy, dz
                    n += 1
    return n


@kernel
def _merge(
    pixels: I32, distance: F32, hit: I32, row: int, width: int, depth: F32, owner: I32, triangle: I32
) -> tuple[int, float, float, float, float]:
    """Puts an object into the picture where it is nearer; size and pixel edges of its outline."""
    n, x1, y1, x2, y2 = 0, width, 1 << 30, 0, 0
    for i in range(len(pixels)):
        if hit[i] < 0:
            continue
        pixel = pixels[i]
        x, y = pixel % width, pixel // width
        n += 1
        x1, y1, x2, y2 = min(x1, x), min(y1, y), max(x2, x + 1), max(y2, y + 1)
        if distance[i] < depth[pixel]:
            depth[pixel], owner[pixel], triangle[pixel] = distance[i], row, hit[i]
    if n == 0:
        return 0, 0.0, 0.0, 0.0, 0.0
    return n, float(x1), float(y1), float(x2), float(y2)


def visible(sight: Sight) -> tuple[I64, F64]:
    """Pixels (K,) in which each object is seen, and pixel edges (K, 4) around them; zeros if there are none."""
    n = len(sight.actors.object_id)
    count, box = np.zeros(n, dtype=np.int64), np.zeros((n, 4))
    _extents(sight.owner, count, box)
    return count, box


@kernel
def _extents(owner: I32, count: I64, box: F64) -> None:
    for y in range(owner.shape[0]):
        for x in range(owner.shape[1]):
            row = owner[y, x]
            if row < 0:
                continue
            if count[row] == 0:
                box[row, 0], box[row, 1], box[row, 2], box[row, 3] = x, y, x + 1, y + 1
            count[row] += 1
            box[row, 0] = min(box[row, 0], x)
            box[row, 2] = max(box[row, 2], x + 1)
            box[row, 3] = y + 1
