"""One lidar sweep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F32, F64, I64
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.sensors import Sensor


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """Points of one turn of a lidar, in its sensor frame.

    Attributes:
        timestamp_ns: reference time of the sweep.
        points: (P, 4) float32 x y z in metres and intensity as the source gives it.
        point_time_offset_ns: (P,) int64 time of each point less ``timestamp_ns``; zeros where the source has none.
    """

    timestamp_ns: int
    points: F32
    point_time_offset_ns: I64

    @property
    def point_timestamp_ns(self) -> I64:
        """(P,) time of each point."""
        return self.timestamp_ns + self.point_time_offset_ns

    def points_world(self, sensor: Sensor, trajectory: Trajectory) -> F64:
        """Points (P, 3) in the world, each placed by the ego pose that holds for it.

        Motion-compensated sweeps are placed by the pose at the sweep's time, others by the pose at each point's own.
        """
        xyz = self.points[:, :3].astype(np.float64)
        if sensor.motion_compensated:
            pose = trajectory.at(np.array([self.timestamp_ns]))[0]
            return se3.apply(pose @ sensor.ego_from_sensor, xyz)
        times, which = np.unique(self.point_timestamp_ns, return_inverse=True)
        poses = trajectory.at(times) @ sensor.ego_from_sensor
        return se3.apply(poses[which], xyz)
