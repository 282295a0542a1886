"""One lidar sweep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F32, F64, I64
from fleetlabel.geometry.compiled import kernel
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
        if sensor.motion_compensated:
            times, which = np.array([self.timestamp_ns]), np.zeros(len(self.points), dtype=np.intp)
        else:
            times, which = np.unique(self.point_timestamp_ns, return_inverse=True)
        world = np.empty((len(self.points), 3))
        _carry(trajectory.at(times) @ sensor.ego_from_sensor, which, self.points, world)
        return world


@kernel
def _carry(dst_from_src: F64, which: I64, points: F32, out: F64) -> None:
    """Points (P, 3...) carried by the transforms (T, 4, 4) that ``which`` (P,) names; no copies on the way."""
    for p in range(len(points)):
        carry = dst_from_src[which[p]]
        x, y, z = np.float64(points[p, 0]), np.float64(points[p, 1]), np.float64(points[p, 2])
        for i in range(3):
            out[p, i] = carry[i, 0] * x + carry[i, 1] * y + carry[i, 2] * z + carry[i, 3]
