"""One upright cuboid that hands move, turn and resize."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F64
from fleetlabel.geometry.boxes import UNIT_CORNERS
from fleetlabel.model.boxes import Boxes3D

SMALLEST_M = 0.1  # no side of a box is shorter


@dataclass(frozen=True, slots=True)
class BoxPose:
    """An upright cuboid in the world.

    Attributes:
        center_m: x y z of its middle.
        size_lwh_m: length, width, height.
        yaw_rad: heading.
    """

    center_m: tuple[float, float, float]
    size_lwh_m: tuple[float, float, float]
    yaw_rad: float

    @classmethod
    def of_row(cls, boxes: Boxes3D, row: int) -> BoxPose:
        """The cuboid of a row."""
        x, y, z = boxes.center_m[row].tolist()
        length, width, height = boxes.size_lwh_m[row].tolist()
        return cls(
            (x, y, z), (length, width, height), float(quaternion.yaw_of(boxes.q_wxyz[row : row + 1])[0])
        )

    @property
    def world_from_box(self) -> F64:
        """(4, 4) from the box's own axes (x forward, y left, z up)."""
        cos, sin = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        matrix = np.eye(4)
        matrix[:2, :2] = [[cos, -sin], [sin, cos]]
        matrix[:3, 3] = self.center_m
        return matrix

    def local(self, points_world_m: F64) -> F64:
        """Points (..., 3) along the box's own axes."""
        matrix = self.world_from_box
        moved: F64 = (points_world_m - matrix[:3, 3]) @ matrix[:3, :3]
        return moved

    def world(self, points_box_m: F64) -> F64:
        """Points (..., 3) in the world of such along the box's own axes."""
        matrix = self.world_from_box
        moved: F64 = np.asarray(points_box_m) @ matrix[:3, :3].T + matrix[:3, 3]
        return moved

    @property
    def corners_m(self) -> F64:
        """(8, 3) in the order of :data:`fleetlabel.geometry.boxes.UNIT_CORNERS`."""
        return self.world(UNIT_CORNERS * np.array(self.size_lwh_m))

    def moved(self, offset_box_m: F64) -> BoxPose:
        """Moved by (3,) along its own axes."""
        x, y, z = self.world(np.asarray(offset_box_m, dtype=np.float64)).tolist()
        return replace(self, center_m=(x, y, z))

    def turned(self, angle_rad: float) -> BoxPose:
        """Turned about its middle, to the left for positive angles."""
        yaw = math.remainder(self.yaw_rad + angle_rad, math.tau)
        return replace(self, yaw_rad=yaw)

    def with_face(self, axis: int, sign: int, at_m: float) -> BoxPose:
        """With one face at a place along its own axis; the face opposite stays where it is."""
        half = 0.5 * self.size_lwh_m[axis]
        opposite = -sign * half
        extent = max(sign * (at_m - opposite), SMALLEST_M)
        size = list(self.size_lwh_m)
        size[axis] = extent
        offset = np.zeros(3)
        offset[axis] = opposite + sign * extent / 2
        moved = self.moved(offset)
        return replace(moved, size_lwh_m=(size[0], size[1], size[2]))

    def resized_about_face(self, size_lwh_m: tuple[float, float, float]) -> BoxPose:
        """Of another size, its bottom where it was."""
        rise = 0.5 * (size_lwh_m[2] - self.size_lwh_m[2])
        return replace(self.moved(np.array([0.0, 0.0, rise])), size_lwh_m=size_lwh_m)
