"""Camera models: pinhole with Brown-Conrady distortion, and fisheye (Kannala-Brandt).

Points are in the camera frame (x right, y down, z forward, metres); pictures are in pixels as the source's own
calibration counts them. Most calibrations put integer coordinates on pixel centres, while ``xyxy_px`` counts pixel
edges: the half pixel between the two is below any calibration's accuracy and is not corrected.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from fleetlabel.geometry.arrays import F64, Bool
from fleetlabel.model.errors import SourceError

_WIDEST_RADIUS = 1e3  # a pinhole that sees further than this (89.9 degrees) off its axis does not exist


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
        broken = {name: value for name, value in asdict(self).items() if not np.isfinite(value)}
        if broken:
            raise SourceError(f"camera intrinsics {broken} are not finite; check the calibration file")

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
            model is one to one. Valid pixels may lie outside the picture; invalid ones are NaN, and so are those of
            points that are not finite.
        """
        points = np.asarray(points_camera, dtype=np.float64).reshape(-1, 3)
        finite = np.all(np.isfinite(points), axis=1)
        # A point in the camera's own place has no pixel in any model.
        normalized, valid = self._distort(np.where(finite[:, None], points, 0.0))
        uv = normalized * (self.fx_px, self.fy_px) + (self.cx_px, self.cy_px)
        uv[~valid] = np.nan
        return uv, valid

    def unproject(self, uv_px: F64) -> F64:
        """Unit rays (N, 3) in the camera frame through pixels (N, 2): the inverse of :meth:`project`.

        Pixels farther out than any point is projected give a ray at the edge of the field, on their side of it; pixels
        that are not finite give NaN.
        """
        uv = np.asarray(uv_px, dtype=np.float64).reshape(-1, 2)
        finite = np.all(np.isfinite(uv), axis=1)
        normalized = (uv - (self.cx_px, self.cy_px)) / (self.fx_px, self.fy_px)
        rays = self._undistort(np.where(finite[:, None], normalized, 0.0))
        rays[~finite] = np.nan
        return rays

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
        valid = valid & (np.sum(xy * xy, axis=1) < self._max_radius() ** 2)
        xy = np.where(valid[:, None], xy, 0.0)
        if self.p1 or self.p2:
            jacobian = self._jacobian(xy)
            valid = valid & (jacobian[0] * jacobian[2] > jacobian[1] ** 2)
        return self._brown_conrady(xy), valid

    def _undistort(self, distorted: F64) -> F64:
        xy = distorted
        if self._distorted:
            target = np.linalg.norm(distorted, axis=1)
            radius = _invert_increasing(
                self._radius_distorted, self._radius_slope, target, self._max_radius()
            )
            xy = distorted * (radius / np.maximum(target, 1e-12))[:, None]
            if self.p1 or self.p2:
                xy = self._refine(xy, distorted)
        rays: F64 = np.concatenate([xy, np.ones((len(xy), 1))], axis=1)
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        return rays

    def _refine(self, xy: F64, distorted: F64) -> F64:
        """Newton's method in the plane, for the tangential terms; a step that leads away is shortened."""
        limit, scale = self._max_radius(), np.ones((len(xy), 1))
        error = self._brown_conrady(xy) - distorted
        for _ in range(60):
            xx, xy_, yy = self._jacobian(xy)
            determinant = xx * yy - xy_ * xy_
            determinant = np.where(np.abs(determinant) > 1e-12, determinant, 1e-12)
            step = np.stack(
                [yy * error[:, 0] - xy_ * error[:, 1], xx * error[:, 1] - xy_ * error[:, 0]], axis=1
            )
            step = scale * step / determinant[:, None]
            if float(np.max(np.abs(step), initial=0.0)) < 1e-15:
                break
            trial = xy - step
            radius = np.linalg.norm(trial, axis=1, keepdims=True)
            trial = trial * np.minimum(1.0, limit / np.maximum(radius, 1e-12))
            trial_error = self._brown_conrady(trial) - distorted
            better = np.sum(trial_error**2, axis=1, keepdims=True) < np.sum(error**2, axis=1, keepdims=True)
            xy, error = np.where(better, trial, xy), np.where(better, trial_error, error)
            scale = np.where(better, np.minimum(1.0, 2 * scale), scale / 4)
        return xy

    @property
    def _distorted(self) -> bool:
        return any((self.k1, self.k2, self.p1, self.p2, self.k3))

    def _brown_conrady(self, xy: F64) -> F64:
        x, y = xy[:, 0], xy[:, 1]
        r2 = x * x + y * y
        radial = 1 + r2 * (self.k1 + r2 * (self.k2 + r2 * self.k3))
        return np.stack(
            [
                x * radial + 2 * self.p1 * x * y + self.p2 * (r2 + 2 * x * x),
                y * radial + self.p1 * (r2 + 2 * y * y) + 2 * self.p2 * x * y,
            ],
            axis=1,
        )

    def _jacobian(self, xy: F64) -> tuple[F64, F64, F64]:
        """Derivatives xx, xy = yx, yy of :meth:`_brown_conrady`, (N,) each."""
        x, y = xy[:, 0], xy[:, 1]
        r2 = x * x + y * y
        radial = 1 + r2 * (self.k1 + r2 * (self.k2 + r2 * self.k3))
        growth = 2 * (self.k1 + r2 * (2 * self.k2 + r2 * 3 * self.k3))
        return (
            radial + x * x * growth + 2 * self.p1 * y + 6 * self.p2 * x,
            x * y * growth + 2 * self.p1 * x + 2 * self.p2 * y,
            radial + y * y * growth + 6 * self.p1 * y + 2 * self.p2 * x,
        )

    def _radius_distorted(self, radius: F64) -> F64:
        r2 = radius * radius
        return radius * (1 + r2 * (self.k1 + r2 * (self.k2 + r2 * self.k3)))

    def _radius_slope(self, radius: F64) -> F64:
        r2 = radius * radius
        return 1 + r2 * (3 * self.k1 + r2 * (5 * self.k2 + r2 * 7 * self.k3))

    def _max_radius(self) -> float:
        """Radius where the picture radius stops growing: beyond it points fold back into the picture."""
        return _end_of_growth((3 * self.k1, 5 * self.k2, 7 * self.k3), _WIDEST_RADIUS)


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
        theta = _invert_increasing(self._theta_distorted, self._theta_slope, target, self._max_theta())
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
        return _end_of_growth((3 * self.k1, 5 * self.k2, 7 * self.k3, 9 * self.k4), np.pi)


@lru_cache(maxsize=256)
def _end_of_growth(coefficients: tuple[float, ...], upper: float) -> float:
    """The largest x up to which ``1 + c0 x^2 + c1 x^4 + ...`` stays positive, at most ``upper``.

    By looking, not by the polynomial's roots, which a coefficient of nearly zero makes arbitrarily wrong.
    """
    polynomial = np.polynomial.Polynomial([1.0, *coefficients])
    grid = np.concatenate([[0.0], np.geomspace(1e-3, upper, 4000)])
    for _ in range(5):
        falling = polynomial(grid * grid) <= 0
        if not bool(falling.any()):
            return float(grid[-1])
        first = int(falling.argmax())
        grid = np.linspace(grid[first - 1], grid[first], 1000)
    return float(grid[0])


def _invert_increasing(
    function: Callable[[F64], F64], slope: Callable[[F64], F64], target: F64, upper: float
) -> F64:
    """Where a function that grows from 0 on [0, upper] takes the values ``target``; ``upper`` where it never does.

    Newton's method kept between bounds; where it would leave them, or where the function is flat, they are halved.
    """
    low, high = np.zeros_like(target), np.full_like(target, upper)
    x = np.minimum(target, upper)
    for _ in range(100):
        error = function(x) - target
        low, high = np.where(error <= 0, x, low), np.where(error >= 0, x, high)
        steep = slope(x)
        newton = x - error / np.where(steep > 1e-9, steep, np.inf)
        following = np.where((steep > 1e-9) & (newton > low) & (newton < high), newton, 0.5 * (low + high))
        if float(np.max(np.abs(following - x), initial=0.0)) <= 1e-15:
            break
        x = following
    return x


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
