"""Cuboids as lines in a camera's picture: clipped in front of the lens, bent as the lens bends them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, I32, I64, Bool
from fleetlabel.geometry.boxes import EDGES
from fleetlabel.model.cameras import CameraModel, FisheyeCamera, PinholeCamera

# Nearer than this a pinhole's projection explodes; lines are cut here instead of being dropped.
NEAR_M = 0.1

# Where lines are curves, an edge is looked at in this many pieces of equal angle, at most 7.5 degrees each. It is
# drawn in as few of them as keep it within a fraction of a pixel, given as share of the picture's width.
_CURVE_PIECES = 24
_CURVE_TOLERANCE = 2e-4

# Of the corners (fleetlabel.geometry.boxes) the bottom face has 0..3 and the top 4..7.
_FRONT_CORNERS = {0, 3, 4, 7}
_EDGE_IS_FRONT: Bool = np.array([set(edge) <= _FRONT_CORNERS for edge in EDGES])


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """Visible pieces of the edges of N cuboids in one picture.

    Attributes:
        segments_px: (S, 2, 2) float64 ends of each piece, within the picture.
        cuboid: (S,) int32 row of the cuboid that the piece belongs to.
        is_front: (S,) bool piece of the front face, or of the mark that points to it.
        extent_px: (N, 4) float64 x1 y1 x2 y2 of each cuboid's visible pieces, NaN where there are none.
        depth_m: (N,) float64 distance of the cuboid's centre from the camera.
    """

    segments_px: F64
    cuboid: I32
    is_front: Bool
    extent_px: F64
    depth_m: F64


def outline_cuboids(corners_world_m: F64, camera_from_world: F64, camera: CameraModel) -> Outlines:
    """Projects the edges of cuboids, and a mark on the floor from the centre to the front.

    Args:
        corners_world_m: (N, 8, 3) in the order of :func:`fleetlabel.geometry.boxes.corners`.
        camera_from_world: (4, 4) at the time of exposure.
        camera: intrinsics; the parts of an edge that it cannot see are left out.
    """
    n = len(corners_world_m)
    corners = se3.apply(camera_from_world, corners_world_m.reshape(-1, 3)).reshape(n, 8, 3)
    edges = corners[:, np.array(EDGES)]
    floor = corners[:, :4]
    mark = np.stack([floor.mean(axis=1), floor[:, [0, 3]].mean(axis=1)], axis=1)
    lines = np.concatenate([edges, mark[:, None]], axis=1).reshape(-1, 2, 3)
    is_front = np.tile(np.append(_EDGE_IS_FRONT, True), n)
    cuboid = np.repeat(np.arange(n, dtype=np.int32), len(EDGES) + 1)

    if not isinstance(camera, FisheyeCamera):
        lines, kept = _clip_near(lines)
        cuboid, is_front = cuboid[kept], is_front[kept]
    segments, line = _project_lines(lines, camera)
    segments, kept = clip_to_rectangle(segments, (0.0, 0.0, camera.width_px, camera.height_px))
    line = line[kept]
    return Outlines(
        segments_px=segments,
        cuboid=cuboid[line],
        is_front=is_front[line],
        extent_px=_extents(segments, cuboid[line], n),
        depth_m=np.linalg.norm(corners.mean(axis=1), axis=1),
    )


def clip_to_rectangle(segments: F64, rectangle: tuple[float, float, float, float]) -> tuple[F64, Bool]:
    """The parts of segments (S, 2, 2) within x1 y1 x2 y2, and which of them (S,) have such a part.

    Liang & Barsky, 1984.
    """
    x1, y1, x2, y2 = rectangle
    start, step = segments[:, 0], segments[:, 1] - segments[:, 0]
    # A segment is inside while direction * t <= room, for each of the four sides.
    direction = np.concatenate([-step, step], axis=1)
    room = np.concatenate([start - (x1, y1), np.array([x2, y2]) - start], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = room / direction
    enter = np.where(direction < 0, t, 0.0).max(axis=1, initial=0.0)
    leave = np.where(direction > 0, t, 1.0).min(axis=1, initial=1.0)
    kept = (enter <= leave) & np.all((direction != 0) | (room >= 0), axis=1)
    span = np.stack([enter[kept], leave[kept]], axis=1)
    return start[kept, None] + span[:, :, None] * step[kept, None], kept


def _clip_near(lines: F64) -> tuple[F64, Bool]:
    """Lines (L, 2, 3) cut at the near plane, and which of them reach in front of it."""
    depth = lines[:, :, 2]
    kept: Bool = np.any(depth > NEAR_M, axis=1)
    lines, depth = lines[kept].copy(), depth[kept]
    for end in (0, 1):
        behind = depth[:, end] < NEAR_M
        near, far = lines[behind, end], lines[behind, 1 - end]
        share = (NEAR_M - near[:, 2]) / (far[:, 2] - near[:, 2])
        lines[behind, end] = near + share[:, None] * (far - near)
    return lines, kept


def _project_lines(lines: F64, camera: CameraModel) -> tuple[F64, I32]:
    """Pieces (S, 2, 2) of lines (L, 2, 3) in pixels, and the line (S,) of each."""
    pieces = 1 if _keeps_lines_straight(camera) else _CURVE_PIECES
    points = lines if pieces == 1 else _split_by_angle(lines, pieces)
    uv, valid = camera.project(points.reshape(-1, 3))
    uv, valid = uv.reshape(-1, pieces + 1, 2), valid.reshape(-1, pieces + 1)
    stride = _strides(uv, _CURVE_TOLERANCE * camera.width_px)
    segments, owners = [np.empty((0, 2, 2))], [np.empty(0, dtype=np.int32)]
    for step in np.unique(stride):
        rows = np.flatnonzero(stride == step).astype(np.int32)
        nodes, seen = uv[rows, ::step], valid[rows, ::step]
        drawn = seen[:, :-1] & seen[:, 1:]
        segments.append(np.stack([nodes[:, :-1], nodes[:, 1:]], axis=2)[drawn])
        owners.append(np.broadcast_to(rows[:, None], drawn.shape)[drawn])
    return np.concatenate(segments), np.concatenate(owners)


def _split_by_angle(lines: F64, pieces: int) -> F64:
    """Points (L, pieces + 1, 3) on lines (L, 2, 3), equally spaced as seen from the camera.

    Equal lengths would leave the part of a long edge that passes close to the camera in a single piece.
    """
    start, way = lines[:, 0], lines[:, 1] - lines[:, 0]
    length = np.maximum(np.linalg.norm(way, axis=1), 1e-9)
    along = way / length[:, None]
    nearest = -np.sum(start * along, axis=1)
    distance = np.maximum(np.linalg.norm(start + nearest[:, None] * along, axis=1), 1e-3)
    first, last = np.arctan2(-nearest, distance), np.arctan2(length - nearest, distance)
    angle = first[:, None] + np.linspace(0.0, 1.0, pieces + 1) * (last - first)[:, None]
    share = (nearest[:, None] + distance[:, None] * np.tan(angle)) / length[:, None]
    share[:, 0], share[:, -1] = 0.0, 1.0
    points: F64 = start[:, None] + np.clip(share, 0.0, 1.0)[:, :, None] * way[:, None]
    return points


def _strides(uv: F64, tolerance_px: float) -> I64:
    """How many pieces of each curve (L, pieces + 1, 2) one chord may replace; 1 where a part cannot be seen."""
    pieces = uv.shape[1] - 1
    stride = np.ones(len(uv), dtype=np.int64)
    for step in (n for n in range(2, pieces + 1) if pieces % n == 0):
        start, stop = uv[:, :-1:step, None], uv[:, step::step, None]
        inner = uv[:, :-1].reshape(len(uv), pieces // step, step, 2) - start
        chord = stop - start
        area = np.abs(inner[..., 0] * chord[..., 1] - inner[..., 1] * chord[..., 0])
        height = area / np.maximum(np.hypot(chord[..., 0], chord[..., 1]), 1e-9)
        stride[height.max(axis=(1, 2), initial=0.0) <= tolerance_px] = step
    return stride


def _keeps_lines_straight(camera: CameraModel) -> bool:
    return isinstance(camera, PinholeCamera) and not any(
        (camera.k1, camera.k2, camera.p1, camera.p2, camera.k3)
    )


def _extents(segments: F64, cuboid: I32, n: int) -> F64:
    extent = np.full((n, 4), np.nan)
    np.fmin.at(extent[:, :2], cuboid, segments.min(axis=1))
    np.fmax.at(extent[:, 2:], cuboid, segments.max(axis=1))
    return extent
