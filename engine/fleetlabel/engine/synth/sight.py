"""What every pixel of a picture meets: distance, object and triangle, and every object's outline as if alone.

The whole picture is exposed at one instant. Rays go through pixel centres, (0.5, 0.5) and on, by the inverse of the
camera's own projection, so that pictures are distorted exactly as their calibration says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.synth.raster import TILE, Canvas, Grid, draw
from fleetlabel.engine.synth.raycast import Casters, Scenery
from fleetlabel.engine.synth.scene import Actors, Scene
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F32, F64, I32, I64
from fleetlabel.geometry.compiled import kernel
from fleetlabel.model.cameras import CameraModel

SKY = -2
SCENERY = -1


@dataclass(frozen=True, slots=True, eq=False)
class Lens:
    """Rays of a camera's pixels, and where they are drawn.

    Attributes:
        directions: (H, W, 3) float32 unit rays in the camera frame.
        grid: of the same rays.
    """

    directions: F32
    grid: Grid

    @classmethod
    def of(cls, camera: CameraModel) -> Lens:
        """The rays of a camera."""
        height, width = camera.height_px, camera.width_px
        directions = np.empty((height, width, 3), dtype=np.float32)
        for top in range(0, height, TILE):  # as much at once as the processor's cache holds
            v, u = np.mgrid[top : min(top + TILE, height), 0:width]
            rays = camera.unproject(np.stack([u.ravel(), v.ravel()], axis=1) + 0.5)
            directions[top : top + TILE] = rays.reshape(-1, width, 3)
        return cls(directions, Grid.of(directions))


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
    """Draws what a camera sees, without its colours.

    Args:
        world_from_camera: (4, 4) at the exposure.
        time_ns: of the exposure, from the start of the drive.
    """
    actors = scene.actors(time_ns)
    scenery = casters.scenery(world_from_camera[:3, 3])
    camera_from_world = se3.invert(world_from_camera)
    picture, alone = Canvas.blank(lens.grid), Canvas.blank(lens.grid)
    camera_from_anchor = camera_from_world.copy()
    camera_from_anchor[:3, 3] += camera_from_world[:3, :3] @ scenery.anchor_m
    draw(lens.grid, camera_from_anchor, scenery.caster.vertices_m, scenery.caster.triangles, picture)
    owner = np.where(picture.triangle >= 0, np.int32(SCENERY), np.int32(SKY))
    height, width = lens.directions.shape[:2]
    n = len(actors.object_id)
    count, box = np.zeros(n, dtype=np.int64), np.zeros((n, 4))
    near = lens.grid.may_hold(
        se3.apply(camera_from_world, actors.center_m), 0.5 * np.linalg.norm(actors.size_lwh_m, axis=1)
    )
    world_from_object = se3.transform(quaternion.to_matrix(actors.q_wxyz), actors.center_m)
    for row in np.flatnonzero(near):
        mesh = actors.mesh[row]
        touched = draw(
            lens.grid, camera_from_world @ world_from_object[row], mesh.vertices_m, mesh.triangles, alone
        )
        count[row], *box[row] = _merge(
            alone.nearness, alone.triangle, touched, int(row), width, height,
            picture.nearness, picture.triangle, owner,
        )  # fmt: skip
    depth = np.empty((height, width), dtype=np.float32)
    whose, triangle = np.empty(depth.shape, dtype=np.int32), np.empty(depth.shape, dtype=np.int32)
    _lay_out(picture.nearness, lens.grid.ahead, owner, picture.triangle, depth, whose, triangle)
    return Sight(world_from_camera, scenery, actors, depth, whose, triangle, count, box)


@kernel
def _merge(
    alone: F32, alone_triangle: I32, touched: I64, number: int, width: int, height: int,
    nearness: F32, triangle: I32, owner: I32,
) -> tuple[int, float, float, float, float]:  # fmt: skip
    """Moves an object into the picture where it is nearer; size and pixel edges of its outline."""
    n, x1, y1, x2, y2 = 0, width, height, 0, 0
    for row in range(touched[0], touched[1]):
        for column in range(touched[2], touched[3]):
            for i in range(TILE * TILE):
                own = alone_triangle[row, column, i]
                if own < 0:
                    continue
                near = alone[row, column, i]
                alone_triangle[row, column, i], alone[row, column, i] = -1, 0.0
                x, y = column * TILE + i % TILE, row * TILE + i // TILE
                if x >= width or y >= height:
                    continue
                n += 1
                x1, y1, x2, y2 = min(x1, x), min(y1, y), max(x2, x + 1), max(y2, y + 1)
                if near > nearness[row, column, i]:
                    nearness[row, column, i] = near
                    triangle[row, column, i], owner[row, column, i] = own, number
    if n == 0:
        return 0, 0.0, 0.0, 0.0, 0.0
    return n, float(x1), float(y1), float(x2), float(y2)


@kernel
def _lay_out(
    nearness: F32, ahead: F32, owner: I32, triangle: I32, depth: F32, whose: I32, which: I32
) -> None:
    """From tiles into rows of pixels."""
    for y in range(depth.shape[0]):
        for x in range(depth.shape[1]):
            row, column, i = y // TILE, x // TILE, y % TILE * TILE + x % TILE
            near = nearness[row, column, i]
            depth[y, x] = 1.0 / (near * ahead[row, column, i]) if near > 0 else np.inf
            whose[y, x], which[y, x] = owner[row, column, i], triangle[row, column, i]


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
