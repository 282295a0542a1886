"""Cuboids and boxes in a camera's pictures, held against one another: which show the same thing, and how well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry import boxes as cuboid_corners
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64, I64, AnyArray, Bool
from fleetlabel.geometry.iou import iou_2d
from fleetlabel.labels.base import BaseLabels

_NEAR_PLANE_M, _LEAST_HEIGHT_PX = 0.1, 25.0


@dataclass(frozen=True, slots=True, eq=False)
class InPictures:
    """What one camera's pictures say about N cuboids and M boxes.

    Attributes:
        expected: (N,) which cuboids its pictures should show: their middle is in one, and they are not too small.
        solid: (N,) overlap of each expected cuboid's projection with the box of its frame that it fits best; else 0.
        flat: (M,) overlap of each box with the projection of its frame that it fits best.
    """

    expected: Bool
    solid: F64
    flat: F64


def in_pictures(
    base: BaseLabels,
    camera: str,
    cuboid_frame: I64,
    cuboid: F64,
    velocity_mps: F64,
    box_frame: I64,
    xyxy_px: F64,
) -> InPictures:
    """Holds cuboids (N, 7: x y z length width height yaw) against boxes (M, 4) of one camera.

    Identities do not matter: other detectors may have seen each. Cuboids move by their velocity to the moment of
    exposure. Corners are enough for their outline: what a lens bends between them is less than what detectors err.
    """
    later_s = (base.times(camera)[cuboid_frame] - base.times("")[cuboid_frame]) * 1e-9
    center = cuboid[:, :3] + later_s[:, None] * velocity_mps
    expected = _expected(base, camera, cuboid_frame, center, cuboid[:, 5])
    rows = np.flatnonzero(expected)
    corners = cuboid_corners.corners(center[rows], cuboid[rows, 3:6], quaternion.from_yaw(cuboid[rows, 6]))
    uv, _ = _seen(base, camera, corners.reshape(-1, 3), np.repeat(cuboid_frame[rows], 8))
    uv = uv.reshape(len(rows), 8, 2)
    size = _size(base, camera)
    low, high = np.clip(uv.min(axis=1), 0.0, size), np.clip(uv.max(axis=1), 0.0, size)
    order = np.argsort(cuboid_frame[rows], kind="stable")
    rows, outline = rows[order], np.concatenate([low, high], axis=1)[order]
    solid, flat = np.zeros(len(cuboid)), np.zeros(len(xyxy_px))
    by_frame = np.argsort(box_frame, kind="stable")
    for frame in np.intersect1d(cuboid_frame[rows], box_frame).tolist():
        mine = slice(*np.searchsorted(cuboid_frame[rows], (frame, frame + 1)))
        theirs = by_frame[slice(*np.searchsorted(box_frame[by_frame], (frame, frame + 1)))]
        overlap = iou_2d(outline[mine], xyxy_px[theirs])
        solid[rows[mine]], flat[theirs] = overlap.max(axis=1), overlap.max(axis=0)
    return InPictures(expected, solid, flat)


def _expected(base: BaseLabels, camera: str, frame: I64, center: F64, height_m: AnyArray) -> Bool:
    half = np.zeros((len(center), 3))
    half[:, 2] = 0.5 * height_m
    top, above = _seen(base, camera, center + half, frame)
    foot, below = _seen(base, camera, center - half, frame)
    middle = 0.5 * (top + foot)
    inside = ((middle > 0.0) & (middle < _size(base, camera))).all(axis=1)
    large = np.abs(foot[:, 1] - top[:, 1]) >= _LEAST_HEIGHT_PX
    shown: Bool = inside & large & above & below & np.isin(frame, base.seen_frames(camera))
    return shown


def _seen(base: BaseLabels, camera: str, points: F64, frame: I64) -> tuple[F64, Bool]:
    """World points (K, 3) in pictures of their frames (K,): (K, 2) pixels, and which of them are in front."""
    sensor, trajectory = base.store.info.sensor(camera), base.store.info.trajectory
    assert sensor.camera is not None
    times = np.clip(base.times(camera), trajectory.timestamp_ns[0], trajectory.timestamp_ns[-1])
    camera_from_world = se3.invert(trajectory.at(times) @ sensor.ego_from_sensor)[frame]
    local = np.einsum("nij,nj->ni", camera_from_world[:, :3, :3], points) + camera_from_world[:, :3, 3]
    front: Bool = local[:, 2] > _NEAR_PLANE_M
    local[:, 2] = np.maximum(local[:, 2], _NEAR_PLANE_M)  # what is behind ends up far outside the picture
    uv, _ = sensor.camera.project(local)
    return np.nan_to_num(uv), front


def _size(base: BaseLabels, camera: str) -> F64:
    model = base.store.info.sensor(camera).camera
    assert model is not None
    return np.array([model.width_px, model.height_px], dtype=np.float64)
