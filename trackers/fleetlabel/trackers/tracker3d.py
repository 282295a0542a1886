"""Online tracking of upright cuboids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from fleetlabel.geometry.arrays import F64, I64, AnyArray
from fleetlabel.trackers.config import Tracker3DConfig
from fleetlabel.trackers.kernels import columns
from fleetlabel.trackers.online import OnlineState, kernel_ready, plain_times, refuse
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
        return self._track(np.array([timestamp_ns], dtype=np.int64), detections)

    def run(self, timestamp_ns: I64, detections: Detections3D) -> Tracks3D:
        """Track a chunk of frames at times (F,), strictly ascending; rows count frames within the chunk.

        Raises:
            ValueError: times that do not ascend or are not after the last frame tracked, frames outside the
                chunk, boxes or scores that are not finite, boxes without extent. The tracker is then as it
                was before.

        """
        return self._track(plain_times(timestamp_ns), detections)

    def _track(self, times: I64, detections: Detections3D) -> Tracks3D:
        state, frame, score = self._state, kernel_ready(detections.frame), kernel_ready(detections.score)
        ok, after, rows = columns.track_3d(
            self._life, self._noise, times, frame, kernel_ready(detections.center_m),
            kernel_ready(detections.size_lwh_m), kernel_ready(detections.yaw_rad), score,
            kernel_ready(detections.class_id), state.mean, state.var, state.real, state.whole, state.clock,
        )  # fmt: skip
        if not ok:
            refuse(state, times, frame, packed(detections), score)
        state.move_on(*after)
        return Tracks3D.trusted(rows)

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
