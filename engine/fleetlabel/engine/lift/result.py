"""What one frame's lift gives."""

from __future__ import annotations

from dataclasses import dataclass

from fleetlabel.geometry.arrays import F64, I16, I64


@dataclass(frozen=True, slots=True, eq=False)
class LiftedBoxes:
    """Cuboids of one frame, best score first.

    Attributes:
        center_m: (N, 3) world.
        size_lwh_m: (N, 3).
        yaw_rad: (N,) about the world's z; which end is the front is a guess (the ego vehicle's direction).
        q_wxyz: (N, 4) the same as quaternions.
        class_id: (N,) int16 row of the caller's class names.
        score: (N,) in [0, 1]: the detector's confidence, lowered by what the points say against it.
        quality: (N,) in [0, 1] how well the cuboid explains points and pictures.
        n_points: (N,) int64 lidar points in the cuboid.
        timestamp_ns: (N,) int64 when those points were measured, on average: the time at which the cuboid holds.
        view, detection: (N,) int64 camera view and row in it of the detection that the cuboid came from.
        merged_ptr: (N + 1,) offsets into merged_view and merged_detection: all detections of each object.
        merged_view, merged_detection: (M,) int64.
        n_dropped_points: input points that were not finite.
        n_unsupported: detections of a lifted class without an object found in the points.
    """

    center_m: F64
    size_lwh_m: F64
    yaw_rad: F64
    q_wxyz: F64
    class_id: I16
    score: F64
    quality: F64
    n_points: I64
    timestamp_ns: I64
    view: I64
    detection: I64
    merged_ptr: I64
    merged_view: I64
    merged_detection: I64
    n_dropped_points: int
    n_unsupported: int

    def __len__(self) -> int:
        return len(self.center_m)
