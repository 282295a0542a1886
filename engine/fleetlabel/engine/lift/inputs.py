"""What one frame's lift reads: points, what each camera saw, and the options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F64, I16, I64
from fleetlabel.model.cameras import CameraModel


@dataclass(frozen=True, slots=True, eq=False)
class LidarPoints:
    """Points of all lidars of one frame, placed in the world as each was measured.

    Attributes:
        points_world: (P, 3) float64 metres; rows that are not finite are dropped and counted.
        timestamp_ns: (P,) int64 time of each point.
        lidar: (P,) int16 row of ``origin_world`` that each point was measured from.
        origin_world: (L, 3) float64 where each lidar stood at the frame's time.
    """

    points_world: F64
    timestamp_ns: I64
    lidar: I16
    origin_world: F64

    def __post_init__(self) -> None:
        n = len(self.points_world)
        if self.points_world.shape != (n, 3) or self.timestamp_ns.shape != (n,) or self.lidar.shape != (n,):
            raise ValueError(
                f"{self.points_world.shape = }, {self.timestamp_ns.shape = }, {self.lidar.shape = }: "
                "expected (P, 3), (P,) and (P,)"
            )
        if n and not 0 <= int(self.lidar.min()) <= int(self.lidar.max()) < len(self.origin_world):
            raise ValueError(
                f"lidar spans {self.lidar.min()}..{self.lidar.max()}, but {len(self.origin_world) = }"
            )

    @classmethod
    def concatenate(cls, sweeps: Sequence[LidarPoints]) -> LidarPoints:
        """The points of several lidars, as one."""
        if not sweeps:
            return cls(np.empty((0, 3)), np.empty(0, np.int64), np.empty(0, np.int16), np.empty((0, 3)))
        first = np.cumsum([0, *(len(sweep.origin_world) for sweep in sweeps)])
        return cls(
            points_world=np.concatenate([sweep.points_world for sweep in sweeps]),
            timestamp_ns=np.concatenate([sweep.timestamp_ns for sweep in sweeps]),
            lidar=np.concatenate(
                [sweep.lidar + row for sweep, row in zip(sweeps, first, strict=False)]
            ).astype(np.int16),
            origin_world=np.concatenate([sweep.origin_world for sweep in sweeps]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class CameraView:
    """One camera's picture and what the detector found in it.

    Attributes:
        camera: intrinsics.
        camera_from_world: (4, 4) at the time of exposure.
        timestamp_ns: time of exposure.
        xyxy_px: (N, 4) float64 detections, pixel edges.
        score: (N,) detector's confidence in [0, 1].
        class_id: (N,) row of the class names given to :func:`fleetlabel.engine.lift.lift_frame`.
    """

    camera: CameraModel
    camera_from_world: F64
    timestamp_ns: int
    xyxy_px: F64
    score: F64
    class_id: I64

    def __post_init__(self) -> None:
        n = len(self.xyxy_px)
        if self.xyxy_px.shape != (n, 4) or self.score.shape != (n,) or self.class_id.shape != (n,):
            raise ValueError(
                f"{self.xyxy_px.shape = }, {self.score.shape = }, {self.class_id.shape = }: "
                "expected (N, 4), (N,) and (N,)"
            )
        if self.camera_from_world.shape != (4, 4):
            raise ValueError(f"{self.camera_from_world.shape = }, expected (4, 4)")
