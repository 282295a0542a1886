"""Foreign calling conventions give the same tracks as the tracker itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.trackers import Tracker2D
from fleetlabel.trackers.adapters import ArrayTracker, SupervisionTracker
from fleetlabel.trackers.testing import random_detections_2d


@dataclass
class LikeSupervision:
    xyxy: AnyArray
    confidence: AnyArray | None
    class_id: AnyArray | None
    tracker_id: AnyArray | None = None

    def __getitem__(self, rows: AnyArray) -> LikeSupervision:
        pick = [None if c is None else c[rows] for c in (self.confidence, self.class_id, self.tracker_id)]
        return LikeSupervision(self.xyxy[rows], *pick)


def test_both_conventions_follow_the_tracker() -> None:
    _, found = random_detections_2d(0, 30, 8)
    times = np.arange(30) * 100_000_000
    whole = Tracker2D().run(times, found)
    arrays, supervised = ArrayTracker(), SupervisionTracker()
    for frame in range(30):
        rows = found.frame == frame
        expected = whole.take(whole.frame == frame)
        table = np.column_stack([found.xyxy_px[rows], found.score[rows], found.class_id[rows]])
        out = arrays.update(table)
        np.testing.assert_array_equal(out[:, 4], expected.track_id)
        np.testing.assert_array_equal(out[:, :4], table[out[:, 7].astype(int), :4])
        mine = LikeSupervision(table[:, :4], table[:, 4], table[:, 5].astype(int))
        tracked = supervised.update(mine)
        assert mine.tracker_id is None
        assert sorted(i for i in tracked.tracker_id if i > 0) == sorted(expected.track_id)


def test_nothing_in_nothing_out_and_missing_columns() -> None:
    assert ArrayTracker().update(np.zeros((0, 6))).shape == (0, 8)
    boxes = np.array([[0.0, 0.0, 50.0, 50.0]])
    assert SupervisionTracker().update(LikeSupervision(boxes, None, None)).tracker_id.tolist() == [1]


def test_reset_starts_over() -> None:
    tracker = ArrayTracker()
    row = np.array([[0.0, 0.0, 50.0, 50.0, 0.9, 0.0]])
    assert tracker.update(row)[0, 4] == 1
    tracker.reset()
    assert tracker.update(row)[0, 4] == 1
    with pytest.raises(ValueError, match="frame_rate_hz is 0"):
        ArrayTracker(frame_rate_hz=0)
