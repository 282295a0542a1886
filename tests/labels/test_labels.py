"""Labels as people use them: saved, in conflict, taken back, looked back at."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlabel.labels import Labels
from fleetlabel.labels import edits as e
from fleetlabel.labels.edit_bases import Edit
from fleetlabel.labels.objects import FIRST_BORN_ID
from fleetlabel.model.errors import EditError, StoreWriteError, UsageError
from fleetlabel.store import SequenceStore
from labels.random_edits import edits
from labels.scenes import copied_store, open_labels


def key(object_id: int = 1, frame: int = 5, x: float = 12.0) -> e.SetKeyframe3D:
    return e.SetKeyframe3D(object_id=object_id, frame=frame, center_m=(x, -8.0, 0.8), yaw_rad=0.1)


# --- saving ---------------------------------------------------------------------------------------------------------


def test_a_keyframe_moves_its_track_and_no_other(labels: Labels) -> None:
    before = labels.now.boxes3d()
    commit = labels.commit([key()], author="ann", reason="off the road", active_ms=1500, request_id="r1")
    assert commit.saved and commit.record is not None
    record = commit.record
    assert (record.sequence, record.author, record.reason) == (1, "ann", "off the road")
    assert (record.active_ms, record.request_id, record.base) == (1500, "r1", "auto")
    after = labels.now.boxes3d()
    for track in range(1, 6):
        same = np.isin(after.center_m[after.track_id == track], before.center_m[before.track_id == track])
        assert same.all() == (track != 1)
    assert after.center_m[(after.track_id == 1) & (after.frame == 5)].tolist() == [[12.0, -8.0, 0.8]]


def test_an_object_that_is_absent_wherever_it_was_seen_has_no_boxes_left(labels: Labels) -> None:
    gone = [e.SetAbsent(object_id=1), e.SetStationary(object_id=1, stationary=True)]
    labels.commit(gone, author="ann")
    boxes = labels.now.boxes(1)
    assert not len(boxes.cuboids)
    assert not any(len(pictures) for pictures in boxes.pictures.values())
    assert 1 not in labels.now.boxes3d().track_id


def test_another_process_sees_what_was_saved(labels: Labels) -> None:
    other = open_labels(labels.store.root)
    labels.commit([key()], author="ann")
    assert other.sequence == 0
    assert [record.author for record in other.refresh()] == ["ann"]
    assert other.now.state == labels.now.state == open_labels(labels.store.root).now.state


def test_edits_are_saved_all_or_none(labels: Labels) -> None:
    with pytest.raises(EditError, match="edit 2 of 2: there is no frame 99"):
        labels.commit([key(), key(frame=99)], author="ann")
    assert labels.sequence == open_labels(labels.store.root).sequence == 0
    for wrong in ({"author": " "}, {"author": "ann", "base": 3}, {"author": "ann", "active_ms": -1}):
        with pytest.raises(UsageError):
            labels.commit([key()], **wrong)
    with pytest.raises(UsageError, match="no edits"):
        labels.commit([], author="ann")


def test_asking_again_saves_nothing_again(labels: Labels) -> None:
    first = labels.commit([key()], author="ann", request_id="r")
    labels.commit([key(x=13.0)], author="ann")
    for asked in (labels, open_labels(labels.store.root)):
        again = asked.commit([key()], author="ann", request_id="r", base=0)
        assert again.repeated and again.record == first.record
    assert labels.sequence == 2
    with pytest.raises(UsageError, match="answered by record 1 of ann"):
        labels.commit([e.DeleteObject(object_id=2)], author="ann", request_id="r")


def test_a_full_disk_says_so_and_saves_nothing(labels: Labels, monkeypatch: pytest.MonkeyPatch) -> None:
    labels.commit([key()], author="ann")

    def full(handle: int, content: bytes, start: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("os.pwrite", full)
        with pytest.raises(StoreWriteError, match="nothing of this was saved"):
            labels.commit([key(frame=6)], author="ann", request_id="r")
    assert (labels.sequence, sorted(labels.now[1].poses)) == (1, [5])
    assert open_labels(labels.store.root).now.state == labels.now.state
    again = labels.commit([key(frame=6)], author="ann", request_id="r")
    assert again.saved and not again.repeated


# --- several people -------------------------------------------------------------------------------------------------


def test_edits_of_different_objects_both_stand(labels: Labels) -> None:
    other = open_labels(labels.store.root)
    labels.commit([key(1)], author="ann")
    assert other.commit([key(2)], author="bob", base=0).saved
    assert sorted(other.now.state.objects) == [1, 2]


def test_edits_of_one_object_are_a_conflict_that_says_whose(labels: Labels) -> None:
    other = open_labels(labels.store.root)
    labels.commit([key(1)], author="ann", reason="parked")
    commit = other.commit([key(2), key(1, x=20.0)], author="bob", base=0)
    assert not commit.saved
    assert [(c.object_id, c.sequence, c.author, c.kinds, c.reason) for c in commit.conflicts] == [
        (1, 1, "ann", ("set_keyframe_3d",), "parked")
    ]
    assert other.now.state == labels.now.state  # it has seen what was done, and nothing of its own was
    assert other.commit([key(2), key(1, x=20.0)], author="bob").saved  # looked at, and done on top


def test_new_objects_have_ids_that_nobody_else_has(labels: Labels) -> None:
    other = open_labels(labels.store.root)
    made = []
    for one, name in ((labels, "ann"), (other, "bob")):
        first, second = one.new_id(), one.new_id()
        commit = one.commit(
            [
                e.CreateObject(object_id=first, class_name="car"),
                e.CreateObject(object_id=second, class_name="car"),
                key(second),
            ],
            author=name,
            base=0,
        )
        renamed = dict(commit.new_ids)
        made += [renamed[first], renamed[second]]
        assert list(one.now[renamed[second]].poses) == [5]
    assert len(set(made)) == 4 and min(made) > FIRST_BORN_ID
    labels.refresh()
    labels.undo("ann")
    assert labels.new_id() not in made


# --- taking back ----------------------------------------------------------------------------------------------------


def test_undo_and_redo_go_on_after_a_restart(labels: Labels) -> None:
    states = [labels.now.state]
    for x in (11.0, 12.0, 13.0):
        labels.commit([key(x=x)], author="ann")
        states.append(labels.now.state)
    for expected in (states[2], states[1]):
        labels = open_labels(labels.store.root)
        assert labels.undo("ann") is not None
        assert labels.now.state == expected
    labels = open_labels(labels.store.root)
    labels.redo("ann")
    assert labels.now.state == states[2]
    labels.undo("ann")
    labels.undo("ann")
    assert (labels.now.state, labels.undo("ann")) == (states[0], None)
    for expected in states[1:]:
        open_labels(labels.store.root).redo("ann")
        labels.refresh()
        assert labels.now.state == expected
    assert labels.redo("ann") is None


def test_a_new_edit_ends_redo(labels: Labels) -> None:
    labels.commit([key()], author="ann")
    labels.undo("ann")
    labels.commit([key(2)], author="ann")
    assert labels.redo("ann") is None
    labels.undo("ann")
    assert labels.undo("ann") is None


def test_undo_is_of_one_s_own_edits_and_leaves_others_(labels: Labels) -> None:
    labels.commit([key(frame=5)], author="ann")
    labels.commit([key(frame=9)], author="bob")
    labels.undo("ann")
    assert sorted(labels.now[1].poses) == [9]
    assert labels.undo("eve") is None


def test_undo_says_what_was_built_on_it(labels: Labels) -> None:
    labels.commit([key(frame=5)], author="ann")
    labels.commit([e.UnsetKeyframe3D(object_id=1, frame=5)], author="bob")
    with pytest.raises(EditError, match="record 2 of bob does not work without it"):
        labels.undo("ann")
    assert labels.sequence == 2


def test_revert_takes_back_anyone_s_record_and_can_be_undone(labels: Labels) -> None:
    labels.commit([key(frame=5)], author="ann")
    labels.commit([key(frame=9)], author="bob")
    labels.revert(1, author="eve", reason="wrong car")
    assert sorted(labels.now[1].poses) == [9]
    assert labels.undo("ann") is None  # there is nothing of hers left
    with pytest.raises(EditError, match="taken back already"):
        labels.revert(1, author="eve")
    labels.undo("eve")
    assert sorted(labels.now[1].poses) == [5, 9]
    labels.redo("eve")
    assert sorted(labels.now[1].poses) == [9]
    for wrong in (3, 99, 0):
        with pytest.raises(EditError):
            labels.revert(wrong, author="eve")


@settings(max_examples=10)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("commit"), edits((1, 2, 3)), st.sampled_from("ab")),
            st.tuples(st.sampled_from(["undo", "redo"]), st.none(), st.sampled_from("ab")),
        ),
        max_size=12,
    )
)
def test_undoing_everything_leaves_nothing_and_replay_gives_the_same(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, Edit | None, str]]
) -> None:
    root: Path = tmp_path_factory.mktemp("undo") / "drive.zarr"
    copied_store(root)
    labels = open_labels(root)
    seen = [labels.now.state]
    for action, edit, author in actions:
        try:
            if edit is not None:
                labels.commit([edit], author=author)
            else:
                getattr(labels, action)(author)
        except EditError:
            continue
        if labels.sequence == len(seen):
            seen.append(labels.now.state)
    again = open_labels(root)
    assert again.now.state == labels.now.state
    assert [again.at(number).state for number in range(again.sequence + 1)] == seen
    for _ in range(100):
        back = []
        for author in "ab":
            try:
                back.append(labels.undo(author))
            except EditError:  # the other one built on it: theirs goes first
                back.append(labels.undo("b" if author == "a" else "a"))
        if back == [None, None]:
            break
    assert labels.now.state.objects == {}


# --- looking back ---------------------------------------------------------------------------------------------------


def test_earlier_labels_are_what_they_were(labels: Labels) -> None:
    labels.commit([key(frame=5)], author="ann")
    labels.commit([e.DeleteObject(object_id=2)], author="ann")
    assert labels.at(0).state.objects == {}
    assert list(labels.at(1).state.objects) == [1]
    assert 2 in labels.at(1).object_ids and 2 not in labels.at(2).object_ids
    with pytest.raises(UsageError, match="no record 3"):
        labels.at(3)


def test_a_preview_saves_nothing(labels: Labels) -> None:
    shown = labels.now.after([key()])
    assert list(shown[1].poses) == [5]
    assert (labels.sequence, labels.now[1].poses) == (0, {})


def test_labels_begin_with_the_newest_machine_version_and_stay_with_it(store: SequenceStore) -> None:
    labels = Labels.open(store)
    labels.commit([key()], author="ann")
    boxes = store.labels3d("auto")
    store.write_labels("newer", {}, boxes, class_names=boxes.class_names, provenance={})
    assert Labels.open(store).base.name == "auto"
    with pytest.raises(UsageError, match="rebase_onto"):
        Labels.open(store, "newer")
