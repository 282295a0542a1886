"""Camera models: pinhole with Brown-Conrady distortion, and fisheye (Kannala-Brandt).

Points are in the camera frame (x right, y down, z forward, metres); pictures are in pixels as the source's own
calibration counts them. Most calibrations put integer coordinates on pixel centres, while ``xyxy_px`` counts pixel
edges: the half pixel between the two is below any calibration's accuracy and is not corrected.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from fleetlabel.geometry.arrays import F64, Bool
from fleetlabel.model.errors import SourceError


@dataclass(frozen=True, slots=True)
class CameraModel(ABC):
    """Intrinsics shared by every camera.

    Attributes:
        width_px, height_px: size of the picture.
        fx_px, fy_px: focal lengths.
        cx_px, cy_px: principal point.
    """

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        if self.width_px <= 0 or self.height_px <= 0 or not (self.fx_px > 0 and self.fy_px > 0):
            raise SourceError(
                f"camera intrinsics {self.width_px}x{self.height_px} px, fx {self.fx_px}, fy {self.fy_px}: "
                "sizes and focal lengths must be positive; check the calibration file"
            )

    @property
    def matrix(self) -> F64:
        """The 3x3 intrinsic matrix."""
        return np.array(
            [[self.fx_px, 0, self.cx_px], [0, self.fy_px, self.cy_px], [0, 0, 1]], dtype=np.float64
        )

    def project(self, points_camera: F64) -> tuple[F64, Bool]:
        """Pixels of points in the camera frame.

        Args:
            points_camera: (N, 3) metres.

        Returns:
            uv_px (N, 2) float64, and valid (N,): in front of the camera and within the field where the distortion
            model is one to one. Valid pixels may lie outside the picture; invalid ones are NaN.
        """
        points = np.asarray(points_camera, dtype=np.float64).reshape(-1, 3)
        normalized, valid = self._distort(points)
        uv = normalized * (self.fx_px, self.fy_px) + (self.cx_px, self.cy_px)
        uv[~valid] = np.nan
        return uv, valid

    def unproject(self, uv_px: F64) -> F64:
        """Unit rays (N, 3) in the camera frame through pixels (N, 2): the inverse of :meth:`project`."""
        uv = np.asarray(uv_px, dtype=np.float64).reshape(-1, 2)
        return self._undistort((uv - (self.cx_px, self.cy_px)) / (self.fx_px, self.fy_px))

    def inside(self, uv_px: F64) -> Bool:
        """Which pixels (N, 2) lie within the picture, (N,)."""
        within: Bool = (
            (uv_px[:, 0] >= 0)
            & (uv_px[:, 0] < self.width_px)
            & (uv_px[:, 1] >= 0)
            & (uv_px[:, 1] < self.height_px)
        )
        return within

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready description; :func:`camera_from_dict` reads it back."""
        return {"kind": self.kind, **asdict(self)}

    @abstractmethod
    def _distort(self, points: F64) -> tuple[F64, Bool]:
        """Distorted normalized coordinates (N, 2) and validity (N,) of points (N, 3)."""

    @abstractmethod
    def _undistort(self, distorted: F64) -> F64:
        """Unit rays (N, 3) of distorted normalized coordinates (N, 2)."""


@dataclass(frozen=True, slots=True)
class PinholeCamera(CameraModel):
    """Pinhole with Brown-Conrady distortion (Brown, 1966; coefficients in OpenCV's order k1 k2 p1 p2 k3)."""

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0

    kind: ClassVar[str] = "pinhole"

    def _distort(self, points: F64) -> tuple[F64, Bool]:
        valid = points[:, 2] > 1e-6
        xy = points[:, :2] / np.where(valid, points[:, 2], 1.0)[:, None]
        if not self._distorted:
            return xy, valid
        r2 = np.sum(xy * xy, axis=1)
        valid = valid & (r2 < self._max_radius_squared())
        r2 = np.where(valid, r2, 0.0)
        return self._brown_conrady(np.where(valid[:, None], xy, 0.0), r2), valid

    def _undistort(self, distorted: F64) -> F64:
        xy = distorted.copy()
        if self._distorted:
            # Fixed-point iteration (OpenCV's undistortPoints), run until it stands still.
            limit = min(self._max_radius_squared(), 1e6)
            for _ in range(50):
                error = self._brown_conrady(xy, np.sum(xy * xy, axis=1)) - distorted
                xy = xy - error
                radius = np.sqrt(np.sum(xy * xy, axis=1, keepdims=True))
                xy = xy * np.minimum(1.0, np.sqrt(limit) / np.maximum(radius, 1e-12))
                if np.max(np.abs(error), initial=0.0) < 1e-13:
                    break
        rays = np.concatenate([xy, np.ones((len(xy), 1))], axis=1)
        return rays / np.linalg.norm(rays, axis=1, keepdims=True)

    @property
    def _distorted(self) -> bool:
        return any((self.k1, self.k2, self.p1, self.p2, self.k3))

    def _brown_conrady(self, xy: F64, r2: F64) -> F64:
        x, y = xy[:, 0], xy[:, 1]
        radial = 1 + r2 * (self.k1 + r2 * (self.k2 + r2 * self.k3))
        return np.stack(
            [
                x * radial + 2 * self.p1 * x * y + self.p2 * (r2 + 2 * x * x),
                y * radial + self.p1 * (r2 + 2 * y * y) + 2 * self.p2 * x * y,
            ],
            axis=1,
        )

    def _max_radius_squared(self) -> float:
        """Squared radius where r * radial(r) stops growing: beyond it points fold back into the picture."""
        derivative = np.polynomial.Polynomial([1, 3 * self.k1, 5 * self.k2, 7 * self.k3])
        roots = np.atleast_1d(derivative.roots()) if derivative.degree() > 0 else np.empty(0)
        real = roots[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)].real
        return float(real.min()) if len(real) else np.inf


@dataclass(frozen=True, slots=True)
class FisheyeCamera(CameraModel):
    """Equidistant fisheye with four coefficients (Kannala & Brandt, 2006; OpenCV's ``fisheye``)."""

    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0

    kind: ClassVar[str] = "fisheye"

    def _distort(self, points: F64) -> tuple[F64, Bool]:
        radius = np.linalg.norm(points[:, :2], axis=1)
        theta = np.arctan2(radius, points[:, 2])
        valid = (np.linalg.norm(points, axis=1) > 1e-6) & (theta < self._max_theta())
        scale = np.where(
            radius > 1e-12, self._theta_distorted(theta) / np.where(radius > 1e-12, radius, 1.0), 0.0
        )
        return points[:, :2] * scale[:, None], valid

    def _undistort(self, distorted: F64) -> F64:
        target = np.linalg.norm(distorted, axis=1)
        theta = np.minimum(target, self._max_theta())
        for _ in range(30):  # Newton; monotone below max_theta
            error = self._theta_distorted(theta) - target
            theta = np.clip(
                theta - error / np.maximum(self._theta_slope(theta), 1e-6), 0.0, self._max_theta()
            )
            if np.max(np.abs(error), initial=0.0) < 1e-13:
                break
        direction = distorted / np.maximum(target, 1e-12)[:, None]
        return np.concatenate([direction * np.sin(theta)[:, None], np.cos(theta)[:, None]], axis=1)

    def _theta_distorted(self, theta: F64) -> F64:
        t2 = theta * theta
        return theta * (1 + t2 * (self.k1 + t2 * (self.k2 + t2 * (self.k3 + t2 * self.k4))))

    def _theta_slope(self, theta: F64) -> F64:
        t2 = theta * theta
        return 1 + t2 * (3 * self.k1 + t2 * (5 * self.k2 + t2 * (7 * self.k3 + t2 * 9 * self.k4)))

    def _max_theta(self) -> float:
        """Angle where the picture radius stops growing, at most pi."""
        slope = np.polynomial.Polynomial([1, 3 * self.k1, 5 * self.k2, 7 * self.k3, 9 * self.k4])
        roots = np.atleast_1d(slope.roots()) if slope.degree() > 0 else np.empty(0)
        real = roots[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)].real
        return min(float(np.sqrt(real.min())) if len(real) else np.pi, np.pi)


def camera_from_dict(description: Mapping[str, Any]) -> CameraModel:
    """The camera that :meth:`CameraModel.to_dict` described.

    Raises:
        SourceError: the kind or a parameter is unknown.
    """
    kinds: dict[str, type[CameraModel]] = {"pinhole": PinholeCamera, "fisheye": FisheyeCamera}
    parameters = dict(description)
    kind = parameters.pop("kind", None)
    if kind not in kinds:
        raise SourceError(f"camera model {kind!r} is unknown; expected one of {sorted(kinds)}")
    try:
        return kinds[kind](**parameters)
    except TypeError as error:
        raise SourceError(
            f"camera parameters {sorted(parameters)} do not fit a {kind} camera: {error}"
        ) from error
