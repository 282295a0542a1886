"""The online trackers: chunked equals whole, identities, life cycle, and what bad input does."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlabel.trackers import (
    Detections2D,
    Detections3D,
    Status,
    Tracker2D,
    Tracker2DConfig,
    Tracker3D,
    Tracker3DConfig,
)
from fleetlabel.trackers.testing import random_detections_2d, random_detections_3d

SCENES = {"2d": (Tracker2D, random_detections_2d), "3d": (Tracker3D, random_detections_3d)}
STEP_NS = 100_000_000


def chunk(detections: Any, first: int, last: int) -> tuple[Any, int]:
    """The detections of frames first..last-1, renumbered from 0, and how many lie before them."""
    low, high = np.searchsorted(detections.frame, [first, last])
    part = detections.take(slice(low, high))
    return dataclasses.replace(part, frame=part.frame - first), int(low)


def one_box(x: float, score: float = 0.9, class_id: int = 0) -> Detections2D:
    return Detections2D(
        np.zeros(1), np.array([[x, 100.0, x + 60.0, 150.0]]), np.array([score]), np.array([class_id])
    )


NOTHING = Detections2D.empty()


def same(a: Any, b: Any) -> None:
    for field in dataclasses.fields(a):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), err_msg=field.name)


@pytest.mark.parametrize("kind", SCENES)
@given(seed=st.integers(0, 2**16), cuts=st.lists(st.integers(0, 40), max_size=6), objects=st.integers(0, 15))
@settings(max_examples=40, deadline=None)
def test_tracking_in_chunks_is_tracking_whole(kind: str, seed: int, cuts: list[int], objects: int) -> None:
    tracker_type, scene = SCENES[kind]
    times, detections = scene(seed, 40, objects)
    tracker = tracker_type()
    whole = tracker.run(times, detections)
    final = tracker.state()
    parts = []
    tracker = tracker_type()
    borders = [0, *sorted(cuts), 40]
    for first, last in itertools.pairwise(borders):
        tracker = tracker_type.from_state(tracker.config, tracker.state())  # through storage at every border
        part, offset = chunk(detections, first, last)
        rows = tracker.run(times[first:last], part)
        detection = np.where(rows.detection >= 0, rows.detection + offset, -1)
        parts.append(dataclasses.replace(rows, frame=rows.frame + first, detection=detection))
    same(type(whole).concatenate(parts), whole)
    for name, column in tracker.state().items():
        np.testing.assert_array_equal(column, final[name])


@pytest.mark.parametrize("kind", SCENES)
def test_update_frame_by_frame_is_run(kind: str) -> None:
    tracker_type, scene = SCENES[kind]
    times, detections = scene(3, 30, 8)
    whole = tracker_type().run(times, detections)
    tracker, parts = tracker_type(), []
    for frame, time in enumerate(times):
        part, offset = chunk(detections, frame, frame + 1)
        rows = tracker.update(int(time), part)
        detection = np.where(rows.detection >= 0, rows.detection + offset, -1)
        parts.append(dataclasses.replace(rows, frame=rows.frame + frame, detection=detection))
    same(type(whole).concatenate(parts), whole)


@pytest.mark.parametrize("kind", SCENES)
def test_rows_pass_the_checks_that_the_tracker_leaves_out(kind: str) -> None:
    tracker_type, scene = SCENES[kind]
    rows = tracker_type().run(*scene(3, 30, 8))
    checked = dataclasses.replace(rows)
    same(rows, checked)
    for field in dataclasses.fields(rows):
        column = getattr(rows, field.name)
        assert column.dtype == getattr(checked, field.name).dtype
        assert column.flags.carray


@pytest.mark.parametrize("kind", SCENES)
def test_columns_may_be_read_only(kind: str) -> None:
    tracker_type, scene = SCENES[kind]
    times, detections = scene(3, 30, 8)
    expected = tracker_type().run(times, detections)
    for field in dataclasses.fields(detections):
        getattr(detections, field.name).flags.writeable = False
    times.flags.writeable = False
    same(tracker_type().run(times, detections), expected)


@pytest.mark.parametrize("kind", SCENES)
def test_ids_count_from_one_whatever_other_trackers_did(kind: str) -> None:
    tracker_type, scene = SCENES[kind]
    times, detections = scene(1, 30, 8)
    first = tracker_type().run(times, detections)
    other = tracker_type()
    other.run(times, detections)
    other.reset()
    same(other.run(times, detections), first)
    ids = np.unique(first.track_id)
    np.testing.assert_array_equal(ids, np.arange(1, len(ids) + 1))


@pytest.mark.parametrize("kind", SCENES)
def test_matched_rows_carry_the_detections_own_box(kind: str) -> None:
    tracker_type, scene = SCENES[kind]
    times, detections = scene(2, 40, 8)
    rows = tracker_type().run(times, detections)
    matched = rows.status == Status.matched
    assert matched.any()
    for name in ("xyxy_px",) if kind == "2d" else ("center_m", "size_lwh_m", "yaw_rad"):
        np.testing.assert_array_equal(
            getattr(rows, name)[matched], getattr(detections, name)[rows.detection[matched]]
        )
    np.testing.assert_array_equal(rows.score[matched], detections.score[rows.detection[matched]])
    assert len(np.unique(rows.detection[matched])) == np.count_nonzero(matched)
    assert len(np.unique(np.stack([rows.frame, rows.track_id]), axis=1).T) == len(rows)


def test_a_steady_object_keeps_its_id_through_a_gap_and_reports_coasting_where_asked() -> None:
    tracker = Tracker2D(Tracker2DConfig(report_coast_s=1.0, confirm_evidence=0.5))
    found = []
    for frame in range(30):
        seen = not 12 <= frame < 18
        found.append(tracker.update(frame * STEP_NS, one_box(100.0 + 4 * frame) if seen else NOTHING))
    assert {int(i) for rows in found for i in rows.track_id} == {1}
    assert [int(rows.status[0]) for rows in found[12:18]] == [Status.coasted] * 6
    assert all(rows.detection[0] == -1 for rows in found[12:18])
    np.testing.assert_allclose(found[17].xyxy_px[0, 0], 100.0 + 4 * 17, atol=3.0)


def test_after_a_gap_of_minutes_everything_is_new() -> None:
    tracker = Tracker2D(Tracker2DConfig(confirm_evidence=0.5))
    assert tracker.update(0, one_box(100.0)).track_id.tolist() == [1]
    assert tracker.update(300 * 10**9, one_box(100.0)).track_id.tolist() == [2]


def test_a_lone_weak_detection_starts_nothing_and_two_strong_ones_confirm() -> None:
    tracker = Tracker2D(Tracker2DConfig(birth_score=0.6, confirm_evidence=1.5))
    assert len(tracker.update(0, one_box(100.0, score=0.5))) == 0
    assert len(tracker.update(STEP_NS, one_box(100.0))) == 0
    assert tracker.update(2 * STEP_NS, one_box(101.0)).track_id.tolist() == [1]


def test_weak_detections_keep_a_track_alive() -> None:
    tracker = Tracker2D(Tracker2DConfig(high_score=0.6, low_score=0.1, confirm_evidence=0.5))
    scores = [0.9, 0.9, 0.3, 0.3, 0.3, 0.9]
    ids = [
        tracker.update(i * STEP_NS, one_box(100.0 + i, score=s)).track_id.tolist()
        for i, s in enumerate(scores)
    ]
    assert ids == [[1]] * 6


def test_the_class_of_a_track_is_that_of_most_of_its_evidence() -> None:
    tracker = Tracker2D(Tracker2DConfig(class_penalty=0.2, confirm_evidence=0.5))
    classes = [0, 0, 1, 0, 1, 1, 1, 1]
    rows = [tracker.update(i * STEP_NS, one_box(100.0, class_id=c)) for i, c in enumerate(classes)]
    assert {int(r.track_id[0]) for r in rows} == {1}
    assert int(rows[3].class_id[0]) == 0 and int(rows[-1].class_id[0]) == 1
    forbidding = Tracker2D(Tracker2DConfig(class_penalty=3.0, confirm_evidence=0.5))
    forbidding.update(0, one_box(100.0, class_id=0))
    assert forbidding.update(STEP_NS, one_box(100.0, class_id=1)).track_id.tolist() == [2]


def test_a_flipped_heading_does_not_turn_the_track() -> None:
    tracker = Tracker3D(Tracker3DConfig(confirm_evidence=0.5))
    for frame in range(10):
        yaw = 0.1 + (np.pi if frame in (4, 7) else 0.0)
        rows = tracker.update(
            frame * STEP_NS,
            Detections3D(
                np.zeros(1), np.array([[5.0 + frame, 0.0, 0.8]]), np.array([[4.2, 1.8, 1.5]]), np.array([yaw]),
                np.array([0.9]), np.zeros(1),
            ),
        )  # fmt: skip
        assert rows.track_id.tolist() == [1]
    assert abs(tracker.state()["mean"][0, 0, 6] - 0.1) < 0.05


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0, STEP_NS, STEP_NS], "frame 2 has the same time as frame 1"),
        ([0, STEP_NS, STEP_NS // 2], "frame 2 has a time before frame 1"),
    ],
)
def test_times_that_do_not_ascend_are_refused_and_change_nothing(times: list[int], message: str) -> None:
    tracker = Tracker2D()
    with pytest.raises(ValueError, match=message):
        tracker.run(np.array(times), NOTHING)
    assert tracker.state()["clock"].tolist() == [1, 0, 0]


def test_time_going_backwards_between_chunks_is_refused() -> None:
    tracker = Tracker2D()
    tracker.update(STEP_NS, one_box(0.0))
    with pytest.raises(
        ValueError, match=f"frame 0 has time {STEP_NS} ns, not later than the last tracked frame"
    ):
        tracker.update(STEP_NS, one_box(0.0))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_boxes_that_are_not_finite_are_named_and_change_nothing(bad: float) -> None:
    tracker = Tracker2D()
    tracker.update(0, one_box(0.0))
    before = tracker.state()
    with pytest.raises(ValueError, match=r"detection 0 \(frame 0\) is not finite"):
        tracker.update(STEP_NS, one_box(bad))
    for name, column in tracker.state().items():
        np.testing.assert_array_equal(column, before[name])
    with pytest.raises(ValueError, match="not finite"):
        tracker.update(STEP_NS, one_box(0.0, score=bad))


def test_boxes_without_extent_and_frames_out_of_range_are_named() -> None:
    flat = Detections2D(np.zeros(1), np.array([[5.0, 5.0, 5.0, 9.0]]), np.ones(1), np.zeros(1))
    with pytest.raises(ValueError, match=r"detection 0 \(frame 0\) has size \[0.0, 4.0\], expected positive"):
        Tracker2D().update(0, flat)
    late = dataclasses.replace(one_box(0.0), frame=np.array([3], dtype=np.int32))
    with pytest.raises(ValueError, match=r"frames 3..3, expected 0..0"):
        Tracker2D().update(0, late)


def test_unsorted_or_ragged_columns_are_refused() -> None:
    box = np.array([[0.0, 0, 5, 5], [0, 0, 5, 5]])
    with pytest.raises(ValueError, match="row 1 has frame 0 after frame 1"):
        Detections2D(np.array([1, 0]), box, np.ones(2), np.zeros(2))
    with pytest.raises(ValueError, match=r"score has shape \(1,\), expected \(2,\)"):
        Detections2D(np.array([0, 1]), box, np.ones(1), np.zeros(2))


def test_a_state_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="same kind"):
        Tracker2D.from_state(Tracker2DConfig(), Tracker3D().state())
    state = Tracker2D().state()
    del state["var"]
    with pytest.raises(ValueError, match="lacks 'var'"):
        Tracker2D.from_state(Tracker2DConfig(), state)


def test_no_frames_and_empty_frames_are_fine() -> None:
    tracker = Tracker2D()
    assert len(tracker.run(np.zeros(0, dtype=np.int64), NOTHING)) == 0
    assert len(tracker.run(np.arange(5) * STEP_NS, NOTHING)) == 0
    assert len(smooth_nothing()) == 0


def smooth_nothing() -> Any:
    from fleetlabel.trackers import Tracks2D, smooth_tracks_2d

    return smooth_tracks_2d(Tracks2D.empty(), np.arange(5) * STEP_NS, NOTHING)
