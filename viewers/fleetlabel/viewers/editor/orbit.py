"""The camera of the perspective view: it looks at a target from around it, and turns, moves and zooms by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from fleetlabel.geometry.arrays import F64, Bool

FIELD_OF_VIEW_DEG = 50.0  # from top to bottom
NEAREST_M, FARTHEST_M = 2.0, 400.0
_TURN_RAD_PER_PX = 0.006


@dataclass
class OrbitCamera:
    """A camera around a target in the world.

    Attributes:
        target_m: (3,) what it looks at.
        distance_m: from there.
        azimuth_rad: direction that it looks in, seen from above.
        elevation_rad: how far it looks down.
    """

    target_m: F64 = field(default_factory=lambda: np.zeros(3))
    distance_m: float = 45.0
    azimuth_rad: float = 0.0
    elevation_rad: float = math.radians(32)

    @property
    def eye_m(self) -> F64:
        """(3,) where it is."""
        return self.target_m - self.distance_m * self.axes[2]

    @property
    def axes(self) -> tuple[F64, F64, F64]:
        """Unit vectors to the right, downwards and ahead."""
        ca, sa = math.cos(self.azimuth_rad), math.sin(self.azimuth_rad)
        ce, se = math.cos(self.elevation_rad), math.sin(self.elevation_rad)
        ahead = np.array([ca * ce, sa * ce, -se])
        right = np.array([sa, -ca, 0.0])
        return right, np.cross(ahead, right), ahead

    def metres_per_px(self, point_m: F64, height_px: float) -> float:
        """Size at a point of what takes one pixel of a view that high."""
        depth = max(float((point_m - self.eye_m) @ self.axes[2]), 0.1)
        return 2 * depth * math.tan(math.radians(FIELD_OF_VIEW_DEG / 2)) / height_px

    def turn(self, du_px: float, dv_px: float) -> None:
        """Turns around the target."""
        self.azimuth_rad = math.remainder(self.azimuth_rad - du_px * _TURN_RAD_PER_PX, math.tau)
        lowest, highest = math.radians(3), math.radians(89)
        self.elevation_rad = min(max(self.elevation_rad + dv_px * _TURN_RAD_PER_PX, lowest), highest)

    def pan(self, du_px: float, dv_px: float, height_px: float) -> None:
        """Moves along the ground, as if it were held by the pointer."""
        per_px = 2 * self.distance_m * math.tan(math.radians(FIELD_OF_VIEW_DEG / 2)) / height_px
        ca, sa = math.cos(self.azimuth_rad), math.sin(self.azimuth_rad)
        right, ahead = np.array([sa, -ca, 0.0]), np.array([ca, sa, 0.0])
        ahead_per_px = per_px / max(math.sin(self.elevation_rad), 0.25)
        self.target_m = self.target_m - right * du_px * per_px + ahead * dv_px * ahead_per_px

    def zoom(self, steps: float) -> None:
        """Nearer for positive steps."""
        self.distance_m = float(np.clip(self.distance_m * 0.88**steps, NEAREST_M, FARTHEST_M))

    def project(self, points_m: F64, width_px: float, height_px: float) -> tuple[F64, Bool]:
        """Pixels (N, 2) of points (N, 3), and which lie in front of the camera."""
        right, down, ahead = self.axes
        off = points_m - self.eye_m
        depth = off @ ahead
        valid: Bool = depth > 0.05
        focal = 0.5 * height_px / math.tan(math.radians(FIELD_OF_VIEW_DEG / 2))
        scale = focal / np.where(valid, depth, 1.0)
        uv = np.stack([width_px / 2 + (off @ right) * scale, height_px / 2 + (off @ down) * scale], axis=-1)
        return uv, valid

    def ray(self, u: float, v: float, width_px: float, height_px: float) -> F64:
        """(3,) unit direction through a pixel."""
        right, down, ahead = self.axes
        focal = 0.5 * height_px / math.tan(math.radians(FIELD_OF_VIEW_DEG / 2))
        way = ahead + right * (u - width_px / 2) / focal + down * (v - height_px / 2) / focal
        unit: F64 = way / np.linalg.norm(way)
        return unit
