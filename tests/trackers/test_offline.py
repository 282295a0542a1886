"""The whole-sequence pass: what it fills, backfills, links, removes and makes rigid."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlabel.geometry import yaw
from fleetlabel.geometry.arrays import F64
from fleetlabel.trackers import (
    Detections2D,
    Detections3D,
    Smooth2DConfig,
    Smooth3DConfig,
    Status,
    Tracker2D,
    Tracker3D,
    Tracks2D,
    Tracks3D,
    smooth_tracks_2d,
    smooth_tracks_3d,
)
from fleetlabel.trackers.testing import random_detections_2d, random_detections_3d

N_FRAMES = 40
TIMES = np.arange(N_FRAMES, dtype=np.int64) * 100_000_000


def driving_past(seen: Any, score: F64 | float = 0.9, speed_px: float = 8.0) -> Detections2D:
    """One box that moves to the right, detected in the frames ``seen``."""
    frame = np.asarray(seen, dtype=np.int32)
    x = 100.0 + speed_px * frame
    box = np.stack([x, 0 * x + 100.0, x + 60.0, 0 * x + 150.0], axis=1)
    return Detections2D(frame, box, np.broadcast_to(score, frame.shape), np.zeros(len(frame)))


def cars(
    seed: int, velocity_mps: F64, *, flip: float = 0.2, noise_m: float = 0.15
) -> tuple[Detections3D, F64]:
    """Noisy detections of cars far apart from each other, and their true centres (F, C, 3)."""
    rng = np.random.default_rng(seed)
    n = len(velocity_mps)
    start = np.stack([np.zeros(n), 12.0 * np.arange(n), np.full(n, 0.8)], axis=1)
    moved = velocity_mps[None, :, None] * np.array([1.0, 0.0, 0.0]) * 0.1 * np.arange(N_FRAMES)[:, None, None]
    truth = start[None] + moved
    rows = N_FRAMES * n
    heading = rng.normal(0.0, 0.1, rows) + np.pi * (rng.random(rows) < flip)
    found = Detections3D(
        frame=np.repeat(np.arange(N_FRAMES), n),
        center_m=truth.reshape(-1, 3) + rng.normal(0.0, noise_m, (rows, 3)),
        size_lwh_m=np.array([4.2, 1.8, 1.5]) * rng.normal(1.0, 0.05, (rows, 3)),
        yaw_rad=yaw.wrap(heading),
        score=np.full(rows, 0.9),
        class_id=np.zeros(rows),
    )
    return found, truth


def solved_2d(found: Detections2D, config: Smooth2DConfig | None = None) -> Tracks2D:
    return smooth_tracks_2d(Tracker2D().run(TIMES, found), TIMES, found, config)


def solved_3d(
    found: Detections3D, config: Smooth3DConfig | None = None, weight: F64 | None = None
) -> Tracks3D:
    return smooth_tracks_3d(Tracker3D().run(TIMES, found), TIMES, found, config, weight=weight)


def test_a_gap_is_filled_and_says_so() -> None:
    seen = [frame for frame in range(N_FRAMES) if not 15 <= frame < 22]
    rows = solved_2d(driving_past(seen))
    assert rows.frame.tolist() == list(range(N_FRAMES))
    assert set(rows.track_id.tolist()) == {1}
    filled = rows.status == Status.interpolated
    assert rows.frame[filled].tolist() == list(range(15, 22))
    assert (rows.detection[filled] == -1).all()
    assert (rows.status[~filled] == Status.smoothed).all()
    np.testing.assert_allclose(rows.xyxy_px[:, 0], 100.0 + 8.0 * rows.frame, atol=0.5)


def test_a_gap_longer_than_asked_stays_open() -> None:
    seen = [frame for frame in range(N_FRAMES) if not 15 <= frame < 22]
    rows = solved_2d(driving_past(seen), Smooth2DConfig(fill_gap_s=0.5))
    assert rows.frame.tolist() == seen
    assert set(rows.track_id.tolist()) == {1}


def test_what_crosses_a_place_one_after_the_other_does_not_stand_there_meanwhile() -> None:
    xyxy_px = np.array([[300.0, 200.0, 340.0, 300.0]])
    crossing = Detections2D(
        np.array([3, 20, 35]), np.repeat(xyxy_px, 3, axis=0), np.full(3, 0.9), np.zeros(3)
    )
    rows = solved_2d(crossing)
    assert rows.frame.tolist() == [3, 20, 35], "nobody saw anything there between"
    standing = solved_2d(driving_past([3, 5, *range(22, N_FRAMES)]), Smooth2DConfig(fill_lone_frames=2))
    assert standing.frame.tolist() == list(range(3, N_FRAMES)), "two that are near are a motion"


def test_weak_detections_before_the_birth_are_claimed() -> None:
    score = np.where(np.arange(N_FRAMES) < 6, 0.35, 0.9)
    online = Tracker2D().run(TIMES, driving_past(range(N_FRAMES), score))
    assert online.frame.min() == 6
    rows = solved_2d(driving_past(range(N_FRAMES), score))
    assert rows.frame.tolist() == list(range(N_FRAMES))
    assert set(rows.track_id.tolist()) == {1}


def test_fragments_of_one_course_are_linked() -> None:
    found = driving_past([frame for frame in range(N_FRAMES) if not 15 <= frame < 22])
    online = Tracker2D().run(TIMES, found)
    torn = dataclasses.replace(online, track_id=np.where(online.frame < 15, 1, 7).astype(np.int64))
    assert set(smooth_tracks_2d(torn, TIMES, found).track_id.tolist()) == {1}


def test_a_lone_false_alarm_is_removed() -> None:
    found = driving_past(range(N_FRAMES))
    ghost = Detections2D(
        np.array([20]), np.array([[900.0, 300.0, 960.0, 340.0]]), np.array([0.95]), np.zeros(1)
    )
    both = Detections2D.concatenate([found, ghost])
    assert set(Tracker2D().run(TIMES, both).track_id.tolist()) == {1, 2}
    assert set(solved_2d(both).track_id.tolist()) == {1}


def test_the_class_is_that_of_most_of_the_evidence() -> None:
    found = driving_past(range(N_FRAMES))
    found = dataclasses.replace(found, class_id=np.where(np.arange(N_FRAMES) % 3 == 0, 4, 2).astype(np.int16))
    rows = solved_2d(found)
    assert set(rows.class_id.tolist()) == {2}
    assert set(rows.track_id.tolist()) == {1}


def test_smoothing_brings_boxes_closer_to_the_truth() -> None:
    found, truth = cars(0, np.array([0.0, 8.0, -6.0]))
    rows = solved_3d(found)
    assert len(np.unique(rows.track_id)) == 3
    lane = np.round(rows.center_m[:, 1] / 12.0).astype(int)
    error = np.linalg.norm(rows.center_m - truth[rows.frame, lane], axis=1)
    raw = np.linalg.norm(found.center_m - truth.reshape(-1, 3), axis=1)
    assert np.sqrt((error**2).mean()) < 0.65 * np.sqrt((raw**2).mean())


def test_one_size_per_object_and_one_pose_while_parked() -> None:
    found, truth = cars(1, np.array([0.0, 8.0]))
    rows = solved_3d(found)
    for track in np.unique(rows.track_id):
        assert len(np.unique(rows.size_lwh_m[rows.track_id == track], axis=0)) == 1
    parked = np.abs(rows.center_m[:, 1]) < 3.0
    assert len(np.unique(rows.center_m[parked], axis=0)) == 1
    assert len(np.unique(rows.yaw_rad[parked])) == 1
    assert (rows.velocity_mps[parked] == 0.0).all()
    np.testing.assert_allclose(rows.center_m[parked][0], truth[0, 0], atol=0.1)
    np.testing.assert_allclose(rows.velocity_mps[~parked].mean(axis=0), [8.0, 0.0, 0.0], atol=0.3)


def test_the_heading_follows_the_motion_where_there_is_any() -> None:
    # The second car drives backwards as far as its detections say: they are what is wrong.
    found, _ = cars(2, np.array([0.0, -8.0]), flip=0.2)
    rows = solved_3d(found)
    still = np.abs(rows.center_m[:, 1]) < 3.0
    np.testing.assert_allclose(np.cos(rows.yaw_rad[still]), 1.0, atol=0.05)
    np.testing.assert_allclose(np.cos(rows.yaw_rad[~still]), -1.0, atol=0.05)


def test_weight_decides_between_detections_that_disagree() -> None:
    found, _ = cars(3, np.array([0.0]), flip=0.0)
    partial = found.frame % 2 == 0
    size = np.where(partial[:, None], [2.0, 1.8, 1.5], [4.2, 1.8, 1.5])
    found = dataclasses.replace(found, size_lwh_m=size)
    rows = solved_3d(found, weight=np.where(partial, 1.0, 50.0))
    assert rows.size_lwh_m[0, 0] == 4.2
    with pytest.raises(ValueError, match="weight has shape"):
        solved_3d(found, weight=np.zeros(len(found)))


def test_an_outlier_does_not_bend_the_course() -> None:
    found, truth = cars(4, np.array([8.0]), noise_m=0.05)
    bad = found.frame == 20
    found = dataclasses.replace(found, center_m=found.center_m + np.where(bad[:, None], [0.0, 1.2, 0.0], 0.0))
    rows = solved_3d(found)
    at = rows.frame == 20
    assert abs(rows.center_m[at, 1][0] - truth[20, 0, 1]) < 0.4


@pytest.mark.parametrize("kind", ["2d", "3d"])
@given(seed=st.integers(0, 2**16), objects=st.integers(0, 12))
@settings(max_examples=20, deadline=None)
def test_rows_are_sane_and_the_same_every_time(kind: str, seed: int, objects: int) -> None:
    times, found = (random_detections_2d if kind == "2d" else random_detections_3d)(seed, 30, objects)
    tracker = Tracker2D() if kind == "2d" else Tracker3D()
    smooth: Any = smooth_tracks_2d if kind == "2d" else smooth_tracks_3d
    online: Any = tracker.run(times, found)  # type: ignore[arg-type]
    rows = smooth(online, times, found)
    again = smooth(online, times, found)
    for field in dataclasses.fields(rows):
        column = getattr(rows, field.name)
        np.testing.assert_array_equal(column, getattr(again, field.name))
        assert np.isfinite(column).all()
    key = np.stack([rows.frame, rows.track_id], axis=1)
    assert len(np.unique(key, axis=0)) == len(rows)
    used = rows.detection[rows.detection >= 0]
    assert len(np.unique(used)) == len(used)
    np.testing.assert_array_equal(found.frame[used], rows.frame[rows.detection >= 0])
    ids = np.unique(rows.track_id)
    np.testing.assert_array_equal(ids, np.arange(1, len(ids) + 1))


def test_rows_of_another_run_are_refused() -> None:
    found = driving_past(range(N_FRAMES))
    rows = Tracker2D().run(TIMES, found)
    with pytest.raises(ValueError, match="rows name detections up to 39"):
        smooth_tracks_2d(rows, TIMES, found.take(slice(0, 10)))
