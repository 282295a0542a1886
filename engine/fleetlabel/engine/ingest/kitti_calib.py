"""KITTI's calibration and its rectified camera frame.

Labels and detections are in the rectified frame of camera 0. Picture k shows ``P_k = K [I | K^-1 p]`` of it:
a pinhole shifted by that offset. So the frame of our camera ``image_02`` is the rectified frame moved by P2's
offset, and its extrinsics hold R_rect, Tr_velo_cam, Tr_imu_velo and the offset; projecting with K gives
exactly what P2 gives. The ego frame is the IMU's (x forward, y left, z up). Rotations are printed with 7
digits; they are made exact, so that every transform can be undone to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.ingest.files import numbers, read_text
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64
from fleetlabel.model.errors import SourceError

# Spellings in the tracking, object and raw benchmarks.
_NAMES = {
    "R_rect": ("R_rect", "R0_rect", "R_rect_00"),
    "Tr_velo_cam": ("Tr_velo_cam", "Tr_velo_to_cam"),
    "Tr_imu_velo": ("Tr_imu_velo", "Tr_imu_to_velo"),
}
_SHAPES = {"R_rect": (9, 12), "Tr_velo_cam": (12,), "Tr_imu_velo": (12,)}


@dataclass(frozen=True, slots=True, eq=False)
class KittiCalib:
    """Calibration of a KITTI sequence.

    Attributes:
        projections: "P0".."P3" -> (3, 4) pixels from the rectified frame.
        rect_from_velo, velo_from_imu: (4, 4).
    """

    projections: Mapping[str, F64]
    rect_from_velo: F64
    velo_from_imu: F64

    @property
    def ego_from_velo(self) -> F64:
        """(4, 4) extrinsics of the lidar."""
        return se3.invert(self.velo_from_imu)

    @property
    def ego_from_rect(self) -> F64:
        """(4, 4) ego (IMU) from the rectified frame of camera 0, in which labels are."""
        return se3.invert(self.rect_from_velo @ self.velo_from_imu)

    def ego_from_camera(self, projection: str) -> F64:
        """(4, 4) extrinsics of the camera that takes the pictures of ``projection``."""
        return self.ego_from_rect @ se3.invert(camera_from_rect(self.projections[projection]))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the projections, and the transforms as exact rotations."""
        return {
            **{name: matrix.tolist() for name, matrix in self.projections.items()},
            "rect_from_velo": self.rect_from_velo.tolist(),
            "velo_from_imu": self.velo_from_imu.tolist(),
        }

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> KittiCalib:
        """The calibration that :meth:`to_dict` described."""
        matrices = {name: np.array(value, dtype=np.float64) for name, value in description.items()}
        projections = {name: matrix for name, matrix in matrices.items() if name.startswith("P")}
        return cls(projections, matrices["rect_from_velo"], matrices["velo_from_imu"])


def camera_from_rect(projection: F64) -> F64:
    """(4, 4) camera frame from the rectified frame: the offset that a projection (3, 4) holds."""
    offset_m = np.asarray(np.linalg.solve(projection[:, :3], projection[:, 3]), dtype=np.float64)
    return se3.transform(np.eye(3), offset_m)


def read_calib(path: Path) -> KittiCalib:
    """Reads a calibration file of the tracking benchmark; several spellings of the names are known.

    Raises:
        SourceError: it is missing, a matrix is missing or malformed, or P2 is no pinhole.
    """
    found: dict[str, list[str]] = {}
    for line in read_text(path).splitlines():
        name, *fields = line.replace(":", " ", 1).split() or [""]
        found[name] = fields
    if "P2" not in found:
        raise SourceError(f"{path} has no P2; it has {sorted(found)}. Restore it from KITTI's calib archive")
    projections: dict[str, F64] = {
        name: np.array(numbers(found[name], f"{path} {name}", 12)).reshape(3, 4)
        for name in ("P0", "P1", "P2", "P3")
        if name in found
    }
    for name, matrix in projections.items():
        fx, skew, _, _, fy = matrix.reshape(-1)[[0, 1, 2, 4, 5]]
        if skew or matrix[1, 0] or not (fx > 0 and fy > 0) or matrix[2, :3].tolist() != [0.0, 0.0, 1.0]:
            raise SourceError(f"{path}: {name} is no pinhole projection: {matrix.tolist()}; restore the file")
    rect = _rigid(found, "R_rect", path)
    return KittiCalib(
        projections, rect @ _rigid(found, "Tr_velo_cam", path), _rigid(found, "Tr_imu_velo", path)
    )


def _rigid(found: Mapping[str, list[str]], name: str, path: Path) -> F64:
    fields = next((found[spelling] for spelling in _NAMES[name] if spelling in found), None)
    if fields is None:
        raise SourceError(
            f"{path} has no {name} (nor {', '.join(_NAMES[name][1:])}); it has {sorted(found)}. "
            "Restore it from KITTI's calib archive"
        )
    columns = len(fields) if len(fields) in _SHAPES[name] else _SHAPES[name][0]
    matrix: F64 = np.array(numbers(fields, f"{path} {name}", columns)).reshape(3, -1)
    translation: F64 = np.zeros(3)
    if matrix.shape[1] == 4:
        translation = matrix[:, 3]
    return se3.transform(exact_rotation(matrix[:, :3], f"{path} {name}"), translation)


def exact_rotation(matrix: F64, where: str) -> F64:
    """Printed rotations (..., 3, 3) as exact ones.

    Raises:
        SourceError: they are no rotations even to 1e-3.
    """
    rotation = quaternion.to_matrix(quaternion.from_matrix(matrix))
    off = np.abs(rotation - matrix).max(axis=(-2, -1))
    if not float(np.max(off)) <= 1e-3:
        row = np.unravel_index(int(np.argmax(off)), off.shape)
        raise SourceError(f"{where} is not a rotation: {matrix[row].tolist()}; restore the file")
    return rotation
