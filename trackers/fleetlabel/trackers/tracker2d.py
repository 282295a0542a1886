"""Online tracking of boxes in the pictures of one camera."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from fleetlabel.geometry.arrays import F64, I64, AnyArray
from fleetlabel.trackers.config import Tracker2DConfig
from fleetlabel.trackers.kernels import columns
from fleetlabel.trackers.online import OnlineState, kernel_ready, plain_times, refuse
from fleetlabel.trackers.rows import Detections2D, Tracks2D


class Tracker2D:
    """Constant-velocity Kalman filters, matched to detections in stages; one instance per camera.

    Strong detections first, then weak ones for tracks that would be lost (Zhang et al., ByteTrack, 2022),
    then lost tracks by grown boxes (Yang et al., C-BIoU, 2023). Feeding a sequence frame by frame, in chunks
    or whole gives the same rows and the same state, bit for bit. Ids count from 1 in each instance.
    """

    def __init__(self, config: Tracker2DConfig | None = None) -> None:
        self.config = config or Tracker2DConfig()
        self._life, self._noise = self.config.life(), self.config.noise()
        self._state = OnlineState.start(4)

    def reset(self) -> None:
        """Forget everything; ids start from 1 again."""
        self._state = OnlineState.start(4)

    def update(self, timestamp_ns: int, detections: Detections2D) -> Tracks2D:
        """Track one frame, in which all ``detections`` have frame 0; the rows too. See :meth:`run`."""
        return self._track(np.array([timestamp_ns], dtype=np.int64), detections)

    def run(self, timestamp_ns: I64, detections: Detections2D) -> Tracks2D:
        """Track a chunk of frames at times (F,), strictly ascending; rows count frames within the chunk.

        Raises:
            ValueError: times that do not ascend or are not after the last frame tracked, frames outside the
                chunk, boxes or scores that are not finite, boxes without extent. The tracker is then as it
                was before.

        """
        return self._track(plain_times(timestamp_ns), detections)

    def _track(self, times: I64, detections: Detections2D) -> Tracks2D:
        state, frame = self._state, kernel_ready(detections.frame)
        xyxy_px, score = kernel_ready(detections.xyxy_px), kernel_ready(detections.score)
        ok, after, rows = columns.track_2d(
            self._life, self._noise, times, frame, xyxy_px, score, kernel_ready(detections.class_id),
            state.mean, state.var, state.real, state.whole, state.clock,
        )  # fmt: skip
        if not ok:
            refuse(state, times, frame, center_size(xyxy_px), score)
        state.move_on(*after)
        return Tracks2D.trusted(rows)

    def state(self) -> dict[str, AnyArray]:
        """All that the tracker remembers, as arrays to be stored and given to :meth:`from_state`."""
        return self._state.to_arrays()

    @classmethod
    def from_state(cls, config: Tracker2DConfig, state: Mapping[str, AnyArray]) -> Self:
        """A tracker that continues as the one that gave ``state`` would have."""
        tracker = cls(config)
        tracker._state = OnlineState.from_arrays(state, 4)
        return tracker


def center_size(xyxy_px: F64) -> F64:
    """(N, 4) boxes x1 y1 x2 y2 as cx cy w h."""
    low, high = xyxy_px[:, :2], xyxy_px[:, 2:]
    with np.errstate(invalid="ignore"):  # infinities are refused where all numbers are checked
        return np.concatenate([0.5 * (low + high), high - low], axis=1)


def corner_points(cxcywh_px: F64) -> F64:
    """(N, 4) boxes cx cy w h as x1 y1 x2 y2."""
    centre, half = cxcywh_px[:, :2], 0.5 * cxcywh_px[:, 2:]
    return np.concatenate([centre - half, centre + half], axis=1)
