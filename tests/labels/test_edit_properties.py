"""What holds for any edits in any order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from fleetlabel.geometry import quaternion, yaw
from fleetlabel.labels import Flag, LabelState, Snapshot, apply
from fleetlabel.labels.codec import edit_from_json, edit_to_json, object_from_json, object_to_json
from fleetlabel.labels.edit_bases import Edit
from fleetlabel.model.errors import EditError
from labels.random_edits import BORN, SEQUENCES, edits
from labels.scenes import CAMERAS, TRACKS, copied_store, open_labels

IDS = [*range(1, TRACKS + 1), *BORN]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Labels without any edits."""
    root: Path = tmp_path_factory.mktemp("properties") / "drive.zarr"
    copied_store(root)
    return open_labels(root).now


def steps(state: LabelState, sequence: list[Edit]) -> Iterator[tuple[LabelState, Edit, LabelState, Edit]]:
    """State before, edit, state after and inverse, of those edits that can be done."""
    for edit in sequence:
        try:
            after, inverse = apply(state, edit)
        except EditError:
            continue
        yield state, edit, after, inverse
        state = after


def final(begun: Snapshot, sequence: list[Edit]) -> Snapshot:
    state = begun.state
    for *_, after, _ in steps(state, sequence):
        state = after
    return Snapshot(begun.base, state, begun.solver)


@settings(max_examples=60)
@given(SEQUENCES)
def test_an_edit_and_its_inverse_leave_everything_as_it_was(begun: Snapshot, sequence: list[Edit]) -> None:
    for before, _, after, inverse in steps(begun.state, sequence):
        undone, again = apply(after, inverse)
        assert undone == before
        assert apply(undone, again)[0] == after


@settings(max_examples=60)
@given(SEQUENCES)
def test_no_edit_changes_an_object_that_it_does_not_name(begun: Snapshot, sequence: list[Edit]) -> None:
    for before, edit, after, _ in steps(begun.state, sequence):
        for object_id in IDS:
            if object_id not in edit.touches:
                assert after.get(object_id) == before.get(object_id)


@settings(max_examples=50)
@given(SEQUENCES, edits(), edits())
def test_edits_of_different_objects_commute(
    begun: Snapshot, sequence: list[Edit], one: Edit, two: Edit
) -> None:
    state = final(begun, sequence).state
    if set(one.touches) & set(two.touches):
        return
    try:
        either = apply(apply(state, one)[0], two)[0]
    except EditError:
        with pytest.raises(EditError):
            apply(apply(state, two)[0], one)
    else:
        assert apply(apply(state, two)[0], one)[0] == either


@settings(max_examples=60)
@given(SEQUENCES)
def test_edits_and_objects_survive_json(begun: Snapshot, sequence: list[Edit]) -> None:
    for *_, edit, after, inverse in steps(begun.state, sequence):
        for value in (edit, inverse):
            assert edit_from_json(json.loads(json.dumps(edit_to_json(value)))) == value
        for item in after:
            assert object_from_json(json.loads(json.dumps(object_to_json(item)))) == item


@settings(max_examples=25)
@given(SEQUENCES)
def test_keyframes_are_reproduced_exactly_whatever_was_done_besides(
    begun: Snapshot, sequence: list[Edit]
) -> None:
    snapshot = final(begun, sequence)
    for item in snapshot.state:
        boxes = snapshot.boxes(item.object_id)
        for frame, pose in item.poses.items():
            row = np.flatnonzero(boxes.cuboids.frame == frame)
            assert len(row) == 1
            np.testing.assert_array_equal(boxes.cuboids.center_m[row[0]], pose.center_m)
            turn = yaw.difference(quaternion.yaw_of(boxes.cuboids.q_wxyz[row]), np.array([pose.yaw_rad]))
            assert abs(turn[0]) < 1e-12
            if item.size_lwh_m is not None:
                np.testing.assert_array_equal(boxes.cuboids.size_lwh_m[row[0]], item.size_lwh_m)
        for (camera, frame), box in item.boxes.items():
            pictures = boxes.pictures[camera]
            row = np.flatnonzero(pictures.frame == frame)
            np.testing.assert_array_equal(pictures.xyxy_px[row], [box.xyxy_px])
            if box.amodal_xyxy_px is not None:
                np.testing.assert_array_equal(pictures.amodal_xyxy_px[row], [box.amodal_xyxy_px])


@settings(max_examples=25)
@given(SEQUENCES)
def test_labels_hold_one_box_per_object_and_frame_and_what_nobody_touched_bit_for_bit(
    begun: Snapshot, sequence: list[Edit]
) -> None:
    snapshot = final(begun, sequence)
    for camera in ("", *CAMERAS):
        found = snapshot.boxes2d(camera) if camera else snapshot.boxes3d()
        base = begun.boxes2d(camera) if camera else begun.boxes3d()
        pairs = np.stack([found.track_id, found.frame], axis=1)
        assert len(np.unique(pairs, axis=0)) == len(found)
        assert np.all(np.diff(found.frame) >= 0)
        same = found.take(~np.isin(found.track_id, list(snapshot.state.objects)))
        expected = base.take(~np.isin(base.track_id, list(snapshot.state.objects)))
        for name in base.column_names():
            np.testing.assert_array_equal(getattr(same, name), getattr(expected, name))
        for item in snapshot.state:
            mine = found.frame[found.track_id == item.object_id]
            assert not item.flag(Flag.ABSENT, camera).mask(mine).any()
            assert np.all(mine >= (item.start or 0))
            assert item.stop is None or np.all(mine < item.stop)


@settings(max_examples=15)
@given(SEQUENCES)
def test_every_seen_box_of_the_machine_stays_someone_s_unless_somebody_took_it_away(
    begun: Snapshot, sequence: list[Edit]
) -> None:
    """Splitting, merging and swapping move boxes between objects; none is lost and none doubled."""
    moving = [
        edit for edit in sequence if edit.kind in ("split", "merge", "change_identity", "swap_identities")
    ]
    snapshot = final(begun, moving)
    for camera in ("", *CAMERAS):
        found = snapshot.boxes2d(camera) if camera else snapshot.boxes3d()
        base = begun.boxes2d(camera) if camera else begun.boxes3d()
        seen = found.take(found.detection >= 0)
        assert sorted(zip(seen.frame.tolist(), seen.detection.tolist(), strict=True)) == sorted(
            zip(base.frame.tolist(), base.detection.tolist(), strict=True)
        )
