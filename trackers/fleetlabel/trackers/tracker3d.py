"""Online tracking of upright cuboids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from fleetlabel.geometry.arrays import F64, I64, AnyArray
from fleetlabel.trackers.config import Tracker3DConfig
from fleetlabel.trackers.online import OnlineState, advance
from fleetlabel.trackers.rows import Detections3D, Tracks3D


class Tracker3D:
    """Constant-velocity Kalman filters over centre, size and heading, matched by generalised IoU in stages.

    Give it boxes in the world frame where ego poses are known: there parked cars stand still. The filter
    follows a box's axis; which end is the front is settled by vote. Feeding a sequence frame by frame, in
    chunks or whole gives the same rows and the same state, bit for bit. Ids count from 1 in each instance.
    """

    def __init__(self, config: Tracker3DConfig | None = None) -> None:
        self.config = config or Tracker3DConfig()
        self._life, self._noise = self.config.life(self.config.reach_m), self.config.noise()
        self._state = OnlineState.start(7)

    def reset(self) -> None:
        """Forget everything; ids start from 1 again."""
        self._state = OnlineState.start(7)

    def update(self, timestamp_ns: int, detections: Detections3D) -> Tracks3D:
        """Track one frame, in which all ``detections`` have frame 0; the rows too. See :meth:`run`."""
        return self.run(np.array([timestamp_ns], dtype=np.int64), detections)

    def run(self, timestamp_ns: I64, detections: Detections3D) -> Tracks3D:
        """Track a chunk of frames at times (F,), strictly ascending; rows count frames within the chunk.

        Raises:
            ValueError: times that do not ascend or are not after the last frame tracked, frames outside the
                chunk, boxes or scores that are not finite, boxes without extent. The tracker is then as it
                was before.

        """
        rows = advance(
            self._state, self._life, self._noise, timestamp_ns,
            detections.frame, packed(detections), detections.score, detections.class_id,
        )  # fmt: skip
        return Tracks3D(
            frame=rows.frame, track_id=rows.track_id, center_m=rows.position[:, :3], size_lwh_m=rows.position[:, 3:6],
            yaw_rad=rows.position[:, 6], velocity_mps=rows.velocity[:, :3], score=rows.score,
            class_id=rows.class_id, detection=rows.detection, status=rows.status,
        )  # fmt: skip

    def state(self) -> dict[str, AnyArray]:
        """All that the tracker remembers, as arrays to be stored and given to :meth:`from_state`."""
        return self._state.to_arrays()

    @classmethod
    def from_state(cls, config: Tracker3DConfig, state: Mapping[str, AnyArray]) -> Self:
        """A tracker that continues as the one that gave ``state`` would have."""
        tracker = cls(config)
        tracker._state = OnlineState.from_arrays(state, 7)
        return tracker


def packed(boxes: Detections3D | Tracks3D) -> F64:
    """(N, 7): x y z length width height yaw."""
    return np.concatenate([boxes.center_m, boxes.size_lwh_m, boxes.yaw_rad[:, None]], axis=1)
