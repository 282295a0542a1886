"""Cuboids in a camera's pictures: the box around what the camera can see of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry import boxes as cuboids
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.model.cameras import CameraModel
from fleetlabel.model.motion import moved_to
from fleetlabel.model.sensors import Sensor

# What is nearer than this to the camera's plane is cut off.
_NEAR_M = 0.1
# Points per edge: where a lens bends straight lines, the extremes lie between corners.
_ALONG_EDGE: F64 = np.linspace(0.0, 1.0, 7)


@dataclass(frozen=True, slots=True, eq=False)
class Projected:
    """Cuboids as a camera sees them.

    Attributes:
        xyxy_px: (N, 4) box around the part within the picture; NaN where nothing is.
        outside: (N,) share of the whole box's area that lies outside of the picture.
        visible: (N,) whether anything is within the picture.
    """

    xyxy_px: F64
    outside: F64
    visible: Bool

    @property
    def height_px(self) -> F64:
        """(N,) height within the picture, 0 where nothing is."""
        return np.where(self.visible, self.xyxy_px[:, 3] - self.xyxy_px[:, 1], 0.0)


def project_cuboids(camera: CameraModel, corners_camera: F64) -> Projected:
    """Boxes around cuboids in a picture.

    Args:
        corners_camera: (N, 8, 3) metres in the camera frame, in the order of ``geometry.boxes.UNIT_CORNERS``.
    """
    n = len(corners_camera)
    start, stop = (corners_camera[:, [edge[end] for edge in cuboids.EDGES]] for end in (0, 1))
    start, stop = _in_front(start, stop), _in_front(stop, start)
    along = start[:, :, None] + _ALONG_EDGE[:, None] * (stop - start)[:, :, None]
    uv, valid = camera.project(along.reshape(-1, 3))
    k = along.shape[1] * along.shape[2]  # -1 would not do where there are no cuboids
    uv, valid = uv.reshape(n, k, 2), valid.reshape(n, k, 1)
    low, high = np.where(valid, uv, np.inf).min(axis=1), np.where(valid, uv, -np.inf).max(axis=1)
    size = (camera.width_px, camera.height_px)
    inside_low, inside_high = np.clip(low, 0, size), np.clip(high, 0, size)
    visible = (inside_high > inside_low).all(axis=1)
    whole, part = (
        np.where(visible[:, None], b - a, 1.0) for a, b in ((low, high), (inside_low, inside_high))
    )
    xyxy = np.where(visible[:, None], np.concatenate([inside_low, inside_high], axis=1), np.nan)
    return Projected(xyxy, 1.0 - np.prod(part / whole, axis=1), visible)


def project_at(sensor: Sensor, trajectory: Trajectory, boxes: Boxes3D, exposed_ns: I64) -> Projected:
    """Where world cuboids are in pictures exposed at times (N,), each moved along its track to its picture's."""
    assert sensor.camera is not None
    center, q_wxyz = moved_to(boxes, exposed_ns)
    camera_from_world = se3.invert(trajectory.at(exposed_ns) @ sensor.ego_from_sensor)
    corners = cuboids.corners(center, boxes.size_lwh_m, q_wxyz)
    in_camera = np.einsum("nij,nkj->nki", camera_from_world[:, :3, :3], corners)
    return project_cuboids(sensor.camera, in_camera + camera_from_world[:, None, :3, 3])


def _in_front(points: F64, others: F64) -> F64:
    """Points (..., 3), those behind the near plane moved onto it along the line to ``others``."""
    depth, other = points[..., 2:], others[..., 2:]
    behind = (depth < _NEAR_M) & (other > _NEAR_M)
    share = np.where(behind, (_NEAR_M - depth) / np.where(behind, other - depth, 1.0), 0.0)
    return points + share * (others - points)
