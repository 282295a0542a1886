"""What the perspective view shows, as plain arrays around a recentred origin: points, lines, names."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from fleetlabel.geometry import boxes as cuboid_geometry
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F32, F64, U8
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.viewers.editor.frames import Points, Shown
from fleetlabel.viewers.editor.pose import BoxPose
from fleetlabel.viewers.palette import ColorBy, box_colors

# How points far apart in what they tell are coloured: dark blue-grey, teal, sand, white. Red, green, blue.
_RAMP: F64 = np.array(
    [(0x3A, 0x44, 0x55), (0x4F, 0x6B, 0x84), (0x6F, 0xA3, 0xA8), (0xC9, 0xC7, 0x9B), (0xF4, 0xF1, 0xE6)]
) / np.array(255.0)
_STEP_M = 1e-3
_TALL_M, _FAR_M = 3.5, 70.0
_GREY = np.array([0.45, 0.49, 0.54])
_EGO_SIZE_M = (4.6, 1.9, 1.6)


class PointColors(StrEnum):
    """What the colour of a point tells."""

    HEIGHT = "height"
    INTENSITY = "intensity"
    DISTANCE = "distance"
    CAMERA = "camera colour"
    CLASS = "class"


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Line segments.

    Attributes:
        points_m: (2 S, 3) ends, one after the other.
        rgb: (S, 3) 0..1.
    """

    points_m: F64
    rgb: F64


def color_points(
    points: Points,
    by: PointColors,
    ego_m: F64,
    pictures: dict[str, Shown],
    cuboids: Boxes3D,
    ground_m: float,
) -> F64:
    """(P, 3) red, green, blue 0..1 of a frame's points."""
    if by is PointColors.INTENSITY:
        top = float(np.percentile(points.intensity, 97)) if len(points.intensity) else 1.0
        return ramp(points.intensity / max(top, 1e-6))
    if by is PointColors.DISTANCE:
        return ramp(1.0 - np.linalg.norm(points.world_m[:, :2] - ego_m[:2], axis=1) / _FAR_M)
    if by is PointColors.CAMERA:
        return _seen_colors(points.world_m, pictures)
    colors = ramp((points.world_m[:, 2] - ground_m) / _TALL_M)
    if by is PointColors.CLASS:
        colors = 0.35 * colors + 0.12
        index, palette = box_colors(cuboids, ColorBy.CLASS)
        for row in range(len(cuboids)):
            inside = _near(points.world_m, cuboids, row)
            colors[inside] = palette[index[row]][::-1] / 255
    return colors


def ramp(share: F32 | F64) -> F64:
    """(N, 3) colours of shares 0..1."""
    at: F64 = np.clip(np.asarray(share, dtype=np.float64), 0.0, 1.0)
    stops = np.linspace(0.0, 1.0, len(_RAMP))
    return np.stack([np.interp(at, stops, _RAMP[:, channel]) for channel in range(3)], axis=1)


def cuboid_lines(cuboids: Boxes3D, by: ColorBy) -> Lines:
    """Edges of cuboids, their front marked by a cross and by a line from the middle of the floor ahead."""
    index, palette = box_colors(cuboids, by)
    return _edges(cuboids.corners_m(), palette[index][:, ::-1].reshape(-1, 3) / 255)


def pose_lines(box: BoxPose, rgb: tuple[float, float, float]) -> Lines:
    """Edges of one box."""
    return _edges(box.corners_m[None], np.array([rgb]))


def _edges(corners_m: F64, rgb: F64) -> Lines:
    edges = corners_m[:, np.array(cuboid_geometry.EDGES)]
    front = corners_m[:, [0, 3, 7, 4]]
    floor = corners_m[:, :4].mean(axis=1)
    ahead = floor + 1.25 * (corners_m[:, [0, 3]].mean(axis=1) - floor)
    marks = np.stack(
        [
            np.stack([front[:, 0], front[:, 2]], axis=1),
            np.stack([front[:, 1], front[:, 3]], axis=1),
            np.stack([floor, ahead], axis=1),
        ],
        axis=1,
    )
    segments = np.concatenate([edges, marks], axis=1)
    return Lines(segments.reshape(-1, 3), np.repeat(rgb, segments.shape[1], axis=0))


def trail_lines(centers_m: F64, rgb: tuple[float, float, float]) -> Lines:
    """An object's course (K, 3), without steps in which it stood: renderers fail at lines without a length."""
    steps = np.stack([centers_m[:-1], centers_m[1:]], axis=1)
    ends = steps[np.linalg.norm(steps[:, 1] - steps[:, 0], axis=1) > _STEP_M].reshape(-1, 3)
    return Lines(ends, np.tile(rgb, (len(ends) // 2, 1)))


def dashed(lines: Lines, dash_m: float = 0.25) -> Lines:
    """Lines with gaps."""
    ends = lines.points_m.reshape(-1, 2, 3)
    length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    count = np.maximum(np.ceil(length / (2 * dash_m)).astype(np.int64), 1)
    row = np.repeat(np.arange(len(ends)), count)
    number = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    low = number / count[row]
    span = np.stack([low, low + 0.5 / count[row]], axis=1)
    pieces = ends[row, :1] + span[:, :, None] * (ends[row, 1:] - ends[row, :1])
    return Lines(pieces.reshape(-1, 3), lines.rgb[row])


def joined(parts: list[Lines]) -> Lines:
    """All lines in one."""
    return Lines(
        np.concatenate([np.empty((0, 3)), *(p.points_m for p in parts)]),
        np.concatenate([np.empty((0, 3)), *(p.rgb for p in parts)]),
    )


def surroundings(world_from_ego: F64, ground_m: float) -> Lines:
    """Rings every 10 m around the ego vehicle, and its outline."""
    angle = np.linspace(0, 2 * np.pi, 97)
    rings = []
    for radius in (10, 20, 30, 40, 50):
        ring = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.zeros_like(angle)], axis=1)
        rings.append(np.stack([ring[:-1], ring[1:]], axis=1))
    ends = np.concatenate(rings).reshape(-1, 3)
    ends = ends @ world_from_ego[:3, :3].T + world_from_ego[:3, 3]
    ends[:, 2] = ground_m
    circle = Lines(ends, np.tile((0.19, 0.21, 0.25), (len(ends) // 2, 1)))
    x, y, _ = world_from_ego[:3, 3].tolist()
    yaw = float(np.arctan2(world_from_ego[1, 0], world_from_ego[0, 0]))
    ahead = 1.4  # the reference point is above the rear axle in most rigs
    box = BoxPose((x, y, ground_m + _EGO_SIZE_M[2] / 2), _EGO_SIZE_M, yaw).moved(np.array([ahead, 0.0, 0.0]))
    return joined([circle, pose_lines(box, (0.62, 0.66, 0.72))])


def _seen_colors(points_m: F64, pictures: dict[str, Shown]) -> F64:
    colors = np.tile(0.5 * _GREY, (len(points_m), 1))
    for shown in pictures.values():
        if shown.problem:
            continue
        camera_m = se3.apply(se3.invert(shown.picture.world_from_camera), points_m)
        ahead = np.flatnonzero(camera_m[:, 2] > 0.5)
        uv, valid = shown.picture.camera.project(camera_m[ahead])
        inside = valid & shown.picture.camera.inside(np.nan_to_num(uv, nan=-1.0))
        height, width = shown.tile.shape[:2]
        size = np.array([shown.picture.camera.width_px, shown.picture.camera.height_px])
        at = (uv[inside] * (width, height) / size).astype(np.int64)
        pixel: U8 = shown.tile[np.minimum(at[:, 1], height - 1), np.minimum(at[:, 0], width - 1)]
        colors[ahead[inside]] = pixel[:, ::-1] / 255
    return colors


def _near(points_m: F64, cuboids: Boxes3D, row: int) -> np.ndarray:
    reach = 0.5 * float(np.linalg.norm(cuboids.size_lwh_m[row])) + 0.1
    rows = np.flatnonzero(np.all(np.abs(points_m[:, :2] - cuboids.center_m[row, :2]) <= reach, axis=1))
    inside = cuboid_geometry.points_in_box(
        points_m[rows], cuboids.center_m[row], cuboids.size_lwh_m[row], cuboids.q_wxyz[row], 0.05
    )
    return rows[inside]
