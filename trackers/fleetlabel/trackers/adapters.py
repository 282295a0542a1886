"""The 2D tracker behind the two calling conventions that are common elsewhere; imports neither library."""

from __future__ import annotations

from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import F64, AnyArray
from fleetlabel.trackers.config import Tracker2DConfig
from fleetlabel.trackers.rows import Detections2D
from fleetlabel.trackers.tracker2d import Tracker2D


class _FrameByFrame:
    """A tracker that is called once per frame and keeps the time itself, at a fixed frame rate."""

    def __init__(self, config: Tracker2DConfig | None = None, *, frame_rate_hz: float = 10.0) -> None:
        if not frame_rate_hz > 0:
            raise ValueError(f"frame_rate_hz is {frame_rate_hz}, expected a positive number")
        self._tracker = Tracker2D(config)
        self._step_ns = round(1e9 / frame_rate_hz)
        self._frame = 0

    def reset(self) -> None:
        """Forget everything; time and ids start again."""
        self._tracker.reset()
        self._frame = 0

    def _track(self, xyxy_px: AnyArray, score: AnyArray, class_id: AnyArray) -> tuple[AnyArray, AnyArray]:
        """Row numbers of the detections that are tracked, and their ids."""
        found = Detections2D(
            frame=np.zeros(len(xyxy_px), dtype=np.int32),
            xyxy_px=np.asarray(xyxy_px, dtype=np.float64).reshape(-1, 4),
            score=np.asarray(score, dtype=np.float64),
            class_id=np.asarray(class_id, dtype=np.int16),
        )
        rows = self._tracker.update(self._frame * self._step_ns, found)
        self._frame += 1
        matched = rows.detection >= 0
        return rows.detection[matched], rows.track_id[matched]


class SupervisionTracker(_FrameByFrame):
    """Tracks objects shaped like ``supervision.Detections``."""

    def update(self, detections: Any) -> Any:
        """Return the same detections with ``tracker_id`` (N,) int set, -1 where there is no track (yet).

        ``detections`` has ``xyxy`` (N, 4), ``confidence`` (N,) or None, ``class_id`` (N,) or None, and is
        indexed by arrays as ``supervision.Detections`` is; it is not changed.
        """
        n = len(detections.xyxy)
        confidence = np.ones(n) if detections.confidence is None else detections.confidence
        class_id = np.zeros(n, dtype=np.int16) if detections.class_id is None else detections.class_id
        rows, ids = self._track(detections.xyxy, confidence, class_id)
        tracked = detections[np.arange(n)]
        tracked.tracker_id = np.full(n, -1, dtype=np.int64)
        tracked.tracker_id[rows] = ids
        return tracked


class ArrayTracker(_FrameByFrame):
    """Tracks plain arrays, as boxmot's trackers do."""

    def update(self, detections: AnyArray, image: object = None) -> F64:
        """Track rows (N, 6) of x1 y1 x2 y2 confidence class.

        Returns:
            (M, 8) float64: x1 y1 x2 y2 id confidence class index, where index is the row of ``detections``.
            ``image`` is taken for the sake of the convention and not looked at.
        """
        table = np.asarray(detections, dtype=np.float64).reshape(-1, 6)
        rows, ids = self._track(table[:, :4], table[:, 4], table[:, 5])
        return np.concatenate([table[rows, :4], ids[:, None], table[rows, 4:], rows[:, None]], axis=1)
