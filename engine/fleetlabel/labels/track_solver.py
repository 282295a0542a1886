"""The solver that FleetLabel brings along: ``fleetlabel.trackers`` around people's keyframes, in a steadied world."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, I64, AnyArray
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.labels.solving import Solved
from fleetlabel.trackers import (
    Detections2D,
    Detections3D,
    EgoView,
    solve_track_2d,
    solve_track_3d,
    steady_from_world,
)

_UNKNOWN_SIZE = (4.0, 1.8, 1.5)  # of an object that was never detected and never given a size


class TrackSolver:
    """Solves tracks of one sequence; see :class:`fleetlabel.labels.solving.Solver`.

    Attributes:
        version: of the algorithm and its parameters.
        frame_timestamp_ns: (F,) int64 of the sequence; none if its ego poses are not to be used.
        trajectory: the sequence's ego poses.
    """

    version = "course-4"

    def __init__(self, frame_timestamp_ns: I64 | None = None, trajectory: Trajectory | None = None) -> None:
        self.frame_timestamp_ns = frame_timestamp_ns
        self.trajectory = trajectory

    @cached_property
    def _ego(self) -> EgoView:
        assert self.trajectory is not None and self.frame_timestamp_ns is not None
        known = self.trajectory.timestamp_ns
        poses = self.trajectory.at(np.clip(self.frame_timestamp_ns, known[0], known[-1]))
        return EgoView(se3.invert(poses), steady_from_world(poses))

    def _ego_at(self, timestamp_ns: I64) -> EgoView | None:
        if self.trajectory is None or self.frame_timestamp_ns is None:
            return None
        return self._ego.at(np.searchsorted(self.frame_timestamp_ns, timestamp_ns))

    def cuboids(
        self,
        timestamp_ns: I64,
        detections: Detections3D,
        n_points: AnyArray,
        key_frame: I64,
        key_box: F64,
        *,
        size_lwh_m: tuple[float, float, float] | None,
        stationary: bool | None,
    ) -> Solved:
        """Cuboids (K, 7) at all times."""
        solved = solve_track_3d(
            timestamp_ns,
            detections,
            key_frame,
            key_box,
            size_lwh_m=size_lwh_m or (None if len(detections) else _UNKNOWN_SIZE),
            stationary=stationary,
            ego=self._ego_at(timestamp_ns),
        )
        size = np.broadcast_to(solved.size_lwh_m, (len(solved.frame), 3))
        box = np.concatenate([solved.center_m, size, solved.yaw_rad[:, None]], axis=1)
        return Solved(box, solved.center_std_m, solved.velocity_mps)

    def pictures(
        self,
        timestamp_ns: I64,
        detections: Detections2D,
        key_frame: I64,
        key_box: F64,
        *,
        picture_px: tuple[int, int],
    ) -> Solved:
        """Boxes (K, 4) at all times."""
        solved = solve_track_2d(timestamp_ns, detections, key_frame, key_box, picture_px=picture_px)
        return Solved(solved.xyxy_px, solved.xyxy_std_px, np.zeros((len(solved.frame), 3)))
