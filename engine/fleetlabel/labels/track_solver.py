"""The solver that FleetLabel brings along: what detections say, corrected by what keyframes say about them."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry import yaw
from fleetlabel.geometry.arrays import F64, I64, AnyArray
from fleetlabel.labels.solving import Solved
from fleetlabel.trackers import Detections2D, Detections3D


class TrackSolver:
    """Residual propagation: the course of the detections, moved by what they were off at the nearest keyframes."""

    version = "residual-1"

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
        """Cuboids (K, 7) at all times; see :class:`fleetlabel.labels.solving.Solver`."""
        time_s = _seconds(timestamp_ns)
        heading = np.unwrap(detections.yaw_rad, period=np.pi)
        pose = _course(
            time_s,
            detections.frame.astype(np.int64),
            np.concatenate([detections.center_m, heading[:, None]], axis=1),
            key_frame,
            key_box,
            angle=3,
        )
        if stationary and not len(key_frame):
            pose[:] = np.median(pose, axis=0)
        elif stationary:
            pose[:] = np.array([pose[key_frame].mean(axis=0)])
        given = size_lwh_m or (
            np.median(detections.size_lwh_m, axis=0) if len(detections) else (4.0, 1.8, 1.5)
        )
        velocity = np.gradient(pose[:, :3], time_s, axis=0) if len(time_s) > 1 else np.zeros((len(time_s), 3))
        box = np.concatenate(
            [pose[:, :3], np.broadcast_to(np.array(given), (len(pose), 3)), yaw.wrap(pose[:, 3:])], axis=1
        )
        return Solved(box, np.full((len(box), 3), np.nan), velocity)

    def pictures(self, timestamp_ns: I64, detections: Detections2D, key_frame: I64, key_box: F64) -> Solved:
        """Boxes (K, 4) at all times; see :class:`fleetlabel.labels.solving.Solver`."""
        time_s = _seconds(timestamp_ns)
        box = _course(time_s, detections.frame.astype(np.int64), detections.xyxy_px, key_frame, key_box)
        return Solved(box, np.full((len(box), 4), np.nan), np.zeros((len(box), 3)))


def _course(
    time_s: F64, seen: I64, measured: F64, key_frame: I64, key_box: F64, angle: int | None = None
) -> F64:
    """(K, D) the measurements' course, moved onto the keyframes; column ``angle`` turns by the short arc."""
    if not len(seen):
        keys = key_box.copy()
        if angle is not None:
            keys[:, angle] = np.unwrap(keys[:, angle])
        return _between(time_s, time_s[key_frame], keys)
    course = _between(time_s, time_s[seen], measured)
    if len(key_frame):
        off = key_box - course[key_frame]
        if angle is not None:
            off[:, angle] = np.unwrap(yaw.wrap(off[:, angle]))
        course += _between(time_s, time_s[key_frame], off)
    return course


def _between(time_s: F64, at_s: F64, values: F64) -> F64:
    return np.stack([np.interp(time_s, at_s, values[:, a]) for a in range(values.shape[1])], axis=1)


def _seconds(timestamp_ns: I64) -> F64:
    seconds: F64 = (timestamp_ns - timestamp_ns[0]) * 1e-9
    return seconds
