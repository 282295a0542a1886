"""What a vehicle carries: cameras and lidars, each with its place on the vehicle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import F64
from fleetlabel.model.cameras import CameraModel, camera_from_dict
from fleetlabel.model.errors import SourceError
from fleetlabel.model.names import name_problem


class SensorKind(StrEnum):
    """What a sensor measures."""

    CAMERA = "camera"
    LIDAR = "lidar"


@dataclass(frozen=True, slots=True, eq=False)
class Sensor:
    """One sensor and its calibration.

    Attributes:
        name: unique within the sequence, as the source calls it.
        kind: camera or lidar.
        ego_from_sensor: (4, 4) extrinsics.
        camera: intrinsics; None for a lidar.
        motion_compensated: lidar only: the points of a sweep are already placed as seen from the sensor's pose at
            the sweep's timestamp. If False, each point is placed by the ego pose at its own time.
    """

    name: str
    kind: SensorKind
    ego_from_sensor: F64
    camera: CameraModel | None = None
    motion_compensated: bool = True

    def __post_init__(self) -> None:
        problem = name_problem(self.name)
        if problem:
            raise SourceError(f"sensor name {self.name!r} {problem}; rename the sensor")
        if (self.kind is SensorKind.CAMERA) != (self.camera is not None):
            raise SourceError(f"sensor {self.name}: a camera needs intrinsics and a lidar has none")
        if not _is_rigid(self.ego_from_sensor):
            raise SourceError(
                f"sensor {self.name}: extrinsics are not a rigid 4x4 transform; check the calibration, found "
                f"{self.ego_from_sensor.tolist()}"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready description; :meth:`from_dict` reads it back exactly."""
        return {
            "name": self.name,
            "kind": self.kind.value,
            "ego_from_sensor": self.ego_from_sensor.tolist(),
            "camera": None if self.camera is None else self.camera.to_dict(),
            "motion_compensated": self.motion_compensated,
        }

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Sensor:
        """The sensor that :meth:`to_dict` described."""
        camera = description["camera"]
        return cls(
            name=description["name"],
            kind=SensorKind(description["kind"]),
            ego_from_sensor=np.array(description["ego_from_sensor"], dtype=np.float64),
            camera=None if camera is None else camera_from_dict(camera),
            motion_compensated=bool(description["motion_compensated"]),
        )


def _is_rigid(transform: F64) -> bool:
    if transform.shape != (4, 4) or not bool(np.all(np.isfinite(transform))):
        return False
    rotation = transform[:3, :3]
    orthonormal = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)
    return orthonormal and bool(np.linalg.det(rotation) > 0) and np.array_equal(transform[3], (0, 0, 0, 1))
