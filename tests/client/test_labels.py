"""Labels through the engine are the labels that the library has."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.conftest import Connect
from fleetlabel.client import (
    LabelsState,
    RemoteLabels,
    RemoteSnapshot,
    RequestError,
)
from fleetlabel.labels import Edit, Labels, Snapshot, save_version
from fleetlabel.labels import edits as e
from fleetlabel.model.boxes import Boxes
from fleetlabel.model.errors import AccessError, EditError, StoreExistsError, StoreNotFoundError, UsageError
from fleetlabel.store import SequenceStore
from fleetlabel.v1 import label_service_pb2 as pb
from fleetlabel.v1.label_service_pb2_grpc import LabelServiceStub
from labels.random_edits import edits
from labels.scenes import CAMERAS, FRAMES, NAMES, cuboids, make_store, open_labels, pictures
from rpc.servers import Served


def pose(object_id: int, frame: int, x: float = 1.0) -> e.SetKeyframe3D:
    """A keyframe."""
    return e.SetKeyframe3D(object_id=object_id, frame=frame, center_m=(x, 2.0, 0.8), yaw_rad=0.0)


def assert_same_boxes(found: Boxes, expected: Boxes) -> None:
    assert found.class_names == expected.class_names
    for name, column in expected.columns().items():
        np.testing.assert_array_equal(getattr(found, name), column, err_msg=name)


def assert_same_labels(remote: RemoteSnapshot, local: Snapshot) -> None:
    assert_same_boxes(remote.boxes3d(), local.boxes3d())
    for camera in CAMERAS:
        assert_same_boxes(remote.boxes2d(camera, 3, 12), local.boxes2d(camera, 3, 12))


# --- reading ----------------------------------------------------------------------------------------------------------


def test_labels_are_read_as_the_library_reads_them(labels: RemoteLabels, store: SequenceStore) -> None:
    local = open_labels(store.root)
    assert_same_labels(labels.now(), local.now)
    for number in range(3):
        labels.commit([pose(1 + number, 4), e.SetClass(object_id=5, class_name="car")], base=labels.now())
    local.refresh()
    assert_same_labels(labels.now(), local.now)
    assert_same_labels(labels.at(1), local.at(1))
    version = save_version(local, "mine", sequence=2)
    assert_same_labels(labels.at("mine"), local.at(2))
    assert labels.at("mine").state.record == 2
    assert [each.name for each in labels.versions()] == ["auto", "mine"]
    assert labels.versions()[-1].created_ns == version.created_ns


def test_what_was_read_stays_whatever_is_edited(labels: RemoteLabels, store: SequenceStore) -> None:
    before, local = labels.now(), open_labels(store.root)
    labels.commit([pose(1, 4), e.DeleteObject(object_id=2)], base=before)
    assert_same_labels(before, local.now)
    assert 2 not in labels.now().boxes3d().track_id


def test_who_reads_on_while_others_edit_costs_no_replay_of_the_journal(
    labels: RemoteLabels, store: SequenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = []
    for number in range(5):
        pinned.append(labels.now())
        labels.commit([pose(1, number)], base=pinned[-1])
    local = open_labels(store.root)
    expected = [local.at(number) for number in range(5)]
    monkeypatch.setattr(Labels, "at", lambda *_: pytest.fail("replayed"))
    for remote, there in zip(pinned, expected, strict=True):
        assert_same_labels(remote, there)


def test_an_object_comes_with_its_boxes_and_what_people_said(
    labels: RemoteLabels, store: SequenceStore
) -> None:
    labels.commit([pose(1, 4)], base=labels.now())
    local = open_labels(store.root)
    view = labels.now().object(1)
    assert view.item == local.now[1] and view.class_name == "car"
    assert view.boxes is not None
    assert_same_boxes(view.boxes.cuboids, local.now.boxes(1).cuboids)
    assert view.boxes.solved == local.now.boxes(1).solved
    np.testing.assert_array_equal(view.boxes.std[""], local.now.boxes(1).std[""])


def test_every_box_says_where_it_comes_from(labels: RemoteLabels) -> None:
    labels.commit([pose(1, 4), e.SetClass(object_id=2, class_name="pedestrian")], base=labels.now())
    (block,) = labels.now().blocks3d()
    origin = [block.provenances[row] for row in block.provenance]
    for row, track in enumerate(block.boxes.track_id.tolist()):
        solver = "course" if track == 1 else ""
        assert origin[row].version == ("" if track in (1, 2) else "auto")
        assert origin[row].solver.startswith(solver) and bool(origin[row].solver) == bool(solver)


def test_many_boxes_come_in_blocks_of_whole_frames(connect: Connect, store: SequenceStore) -> None:
    many = make_store(store.root.parent / "many.zarr", n_frames=700, n_tracks=30)
    now = connect().sequence("many").labels.now()
    for first, last, camera in ((0, 700, ""), (3, 300, ""), (0, 700, "front"), (650, 700, "front")):
        found = list(now.blocks2d(camera, first, last) if camera else now.blocks3d(first, last))
        edges = [(block.start, block.stop) for block in found]
        assert edges[0][0] == first and edges[-1][1] == last
        assert all(before[1] == after[0] for before, after in pairwise(edges))
        assert max(len(block.boxes) for block in found) <= 4_000
        local = open_labels(many.root).now
        expected: Boxes = local.boxes2d(camera, first, last) if camera else local.boxes3d(first, last)
        assert_same_boxes(type(expected).concatenate([block.boxes for block in found]), expected)


def test_what_is_not_there_is_not_found(labels: RemoteLabels, connect: Connect) -> None:
    now = labels.now()
    for look in (
        lambda: labels.at("nobodys"),
        lambda: labels.at(7),
        lambda: now.object(99),
        lambda: now.boxes2d("roof"),
        lambda: connect("bob").sequence("elsewhere").labels.now(),
        lambda: labels.revert(7),
    ):
        with pytest.raises((StoreNotFoundError, AccessError)):
            look()
    with pytest.raises(RequestError, match="start_frame"):
        now.boxes3d(5, 5)
    for look in (
        lambda: now.boxes3d(0, 10**12),
        lambda: now.object(10**30),
        lambda: labels.at(10**30),
        lambda: labels.why(1, 10**12),
        lambda: list(labels.history(frame=10**12)),
        lambda: labels.revert(10**30),
    ):
        with pytest.raises(UsageError):
            look()
    assert len(now.boxes3d(FRAMES, FRAMES + 9)) == 0


def test_a_preview_saves_nothing(labels: RemoteLabels, store: SequenceStore) -> None:
    said: list[Edit] = [pose(1, 4), e.DeleteObject(object_id=2)]
    first, second = labels.now().after(said)
    expected = open_labels(store.root).now.after(said).boxes(1).cuboids
    assert first.boxes is not None and second.item is None
    assert_same_boxes(first.boxes.cuboids, expected)
    assert labels.now().state.record == 0
    with pytest.raises(EditError):
        labels.now().after([e.DeleteObject(object_id=99)])


# --- editing ----------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(edits(), min_size=1, max_size=3), min_size=1, max_size=12))
def test_edits_do_what_they_do_in_the_library(
    labels: RemoteLabels, store: SequenceStore, commits: list[list[Edit]]
) -> None:
    """The same commits, through the engine and on the same state in memory."""
    local = open_labels(store.root)
    for said in commits:
        state = labels.now().state
        try:
            expected = local.now.after(said)
        except EditError:
            with pytest.raises(EditError):
                labels.commit(said, base=state)
            continue
        committed = labels.commit(said, base=state)
        assert committed.saved
        local.refresh()
        renamed = dict(committed.new_ids)
        touched = {renamed.get(key, key) for edit in said for key in edit.touches}
        for object_id in touched - {*renamed.values()}:
            if expected.state.get(object_id) is None or renamed:
                continue
            assert local.now.state.get(object_id) == expected.state.get(object_id)
    assert_same_labels(labels.now(), open_labels(store.root).now)


def test_who_edits_is_who_the_token_says(connect: Connect) -> None:
    for person in ("ann", "bob"):
        mine = connect(person).sequence("drive").labels
        made = mine.commit([pose(1, 4)], base=mine.now(), reason="too far left", active_ms=1500)
        assert made.record is not None
        assert (made.record.author, made.record.reason, made.record.active_ms) == (
            person,
            "too far left",
            1500,
        )


def test_new_objects_get_ids_of_their_own(labels: RemoteLabels) -> None:
    said = [e.CreateObject(object_id=77, class_name="car"), pose(77, 3)]
    ids = [dict(labels.commit(said, base=labels.now()).new_ids)[77] for _ in range(2)]
    assert len(set(ids)) == 2 and min(ids) > 1_000_000_000
    assert labels.now().object(ids[1]).item is not None


def test_undo_and_redo_are_the_callers_own(connect: Connect, store: SequenceStore) -> None:
    ann, bob = (connect(name).sequence("drive").labels for name in ("ann", "bob"))
    ann.commit([pose(1, 4)], base=ann.now())
    bob.commit([pose(2, 4)], base=bob.now())
    undone = ann.undo()
    assert undone is not None and undone.record is not None and undone.record.undoes == 1
    assert [entry.in_effect for entry in ann.history()] == [False, True, True]
    assert [entry.record.sequence for entry in ann.history(object_id=1)] == [1, 3]
    assert ann.undo() is None
    redone = ann.redo()
    assert redone is not None and redone.record is not None and redone.record.redoes == 1
    assert_same_labels(ann.now(), open_labels(store.root).now)


def test_a_reviewer_takes_back_anybodys_record(connect: Connect) -> None:
    ann, eve = connect("ann").sequence("drive").labels, connect("eve", "reviewer").sequence("drive").labels
    ann.commit([pose(1, 4)], base=ann.now())
    with pytest.raises(AccessError):
        ann.revert(1)
    assert eve.revert(1, request_id="r").record == eve.revert(1, request_id="r").record
    assert eve.now().object(1).item == eve.at(0).object(1).item
    with pytest.raises(EditError):
        eve.revert(1)


def test_a_viewer_edits_nothing(connect: Connect) -> None:
    mine = connect("eve", "viewer").sequence("drive").labels
    now = mine.now()
    for change in (lambda: mine.commit([pose(1, 4)], base=now), mine.undo, mine.redo, mine.release):
        with pytest.raises(AccessError):
            change()
    assert mine.now().state.record == 0


def test_history_comes_in_pages_without_a_gap(labels: RemoteLabels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetlabel.client.labels._PAGE", 2)
    for number in range(5):
        labels.commit([pose(1 + number % 2, number)], base=labels.now())
    assert [entry.record.sequence for entry in labels.history()] == [1, 2, 3, 4, 5]
    assert [entry.record.sequence for entry in labels.history(after=3)] == [4, 5]
    assert [entry.record.sequence for entry in labels.history(object_id=1)] == [1, 3, 5]


# --- others -----------------------------------------------------------------------------------------------------------


def test_a_stale_base_is_a_conflict_that_says_who_and_what(connect: Connect) -> None:
    ann, bob = (connect(name).sequence("drive").labels for name in ("ann", "bob"))
    base = ann.now()
    bob.commit([pose(1, 4), pose(2, 4)], base=bob.now(), reason="was off")
    refused = ann.commit([pose(1, 6)], base=base)
    assert not refused.saved
    (conflict,) = refused.conflicts
    assert (conflict.object_id, conflict.sequence, conflict.author) == (1, 1, "bob")
    assert (conflict.kinds, conflict.reason) == (("set_keyframe_3d",), "was off")
    assert ann.now().state.record == 1
    assert ann.commit([pose(1, 6)], base=ann.now()).saved


def test_edits_of_other_objects_are_done_to_the_labels_as_they_are(connect: Connect) -> None:
    ann, bob = (connect(name).sequence("drive").labels for name in ("ann", "bob"))
    base = ann.now()
    bob.commit([pose(1, 4)], base=bob.now())
    assert ann.commit([pose(2, 6)], base=base).saved
    now = ann.now()
    for object_id, frame in ((1, 4), (2, 6)):
        item = now.object(object_id).item
        assert item is not None and frame in item.poses


def test_a_conflict_is_aborted_for_clients_of_other_languages(served: Served) -> None:
    import grpc

    with served.channel(served.token("ann", "annotator")) as channel:
        stub = LabelServiceStub(channel)
        edit: dict[str, Any] = {"object_id": 1, "flip_heading": {}}
        for number, code in ((1, None), (2, grpc.StatusCode.ABORTED)):
            request = pb.CommitEditsRequest(
                request_id=str(number), sequence_id="drive", base_record=0, edits=[edit]
            )
            if code is None:
                stub.CommitEdits(request)
                continue
            with pytest.raises(grpc.RpcError) as refused:
                stub.CommitEdits(request)
            assert refused.value.code() is code
        request.ClearField("base_record")
        with pytest.raises(grpc.RpcError) as refused:
            stub.CommitEdits(request)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "base_record" in refused.value.details()


def test_a_request_that_is_repeated_saves_once(labels: RemoteLabels) -> None:
    base, said = labels.now(), [e.CreateObject(object_id=77, class_name="car"), pose(77, 3)]
    first, second = (labels.commit(said, base=base, request_id="once") for _ in range(2))
    assert first.record == second.record and first.new_ids == second.new_ids
    assert (first.repeated, second.repeated) == (False, True)
    assert labels.now().state.record == 1
    with pytest.raises(StoreExistsError):
        labels.commit([pose(1, 3)], base=base, request_id="once")
    with pytest.raises(StoreExistsError):
        labels.undo(request_id="once")
    one, two = (labels.undo(request_id="back") for _ in range(2))
    assert one is not None and two is not None and one.record == two.record and two.repeated
    for request_id in ("", "x" * 201, "a\nb"):
        with pytest.raises(RequestError, match="request_id"):
            labels.commit(said, base=base, request_id=request_id)


def test_before_the_first_edit_labels_may_be_made_anew_and_older_ones_are_no_base(
    connect: Connect, store: SequenceStore
) -> None:
    labels = connect().sequence("drive").labels
    old = labels.now()
    solid = cuboids(seed=1)
    store.write_labels("newer", pictures(solid), solid, class_names=NAMES, provenance={"made": "again"})
    while labels.now().state.base_version != "newer":  # the engine looks once a second
        pass
    refused = labels.commit([pose(1, 4)], base=old)
    assert not refused.saved and refused.conflicts[0].object_id is None
    with pytest.raises(Exception, match="newer"):
        old.boxes3d()
    assert labels.commit([pose(1, 4)], base=labels.now()).saved


def test_edits_are_taken_along_to_a_better_run(connect: Connect, store: SequenceStore) -> None:
    ann, eve = connect("ann").sequence("drive").labels, connect("eve", "reviewer").sequence("drive").labels
    ann.commit([pose(1, 4)], base=ann.now())
    before = ann.now()
    solid = cuboids(seed=1)
    store.write_labels("newer", pictures(solid), solid, class_names=NAMES, provenance={"made": "again"})
    carried = eve.rebase_onto("newer", request_id="go")
    assert carried.new_ids == {1: 1}
    assert eve.now().state.base_version == "newer"
    assert not eve.rebase_onto("newer", request_id="go").new_ids  # asked again: answered, and not done again
    assert eve.now().state.record == 2
    refused = ann.commit([pose(2, 4)], base=before)
    assert not refused.saved and refused.conflicts[0].object_id is None
    assert_same_labels(eve.now(), Labels.open(store).now)


# --- versions and the queue -------------------------------------------------------------------------------------------


def test_the_head_is_saved_as_a_version_once(connect: Connect) -> None:
    labels = connect("eve", "reviewer").sequence("drive").labels
    labels.commit([pose(1, 4)], base=labels.now())
    version = labels.save_version("mine")
    assert labels.save_version("mine") == version and version.base == "auto"
    assert labels.save_version().name.startswith("people-")
    labels.commit([pose(1, 5)], base=labels.now())
    with pytest.raises(StoreExistsError):
        labels.save_version("mine")
    with pytest.raises(UsageError):
        labels.save_version("../mine")


def test_nobody_is_sent_where_somebody_is(connect: Connect) -> None:
    ann, bob = connect("ann"), connect("bob")
    (first,), progress = ann.next_items(["drive"])
    (second,), _ = bob.next_items(["drive"])
    assert first.object_id != second.object_id and first.sequence == "drive" and first.score > second.score
    assert progress["drive"].boxes == 152 and not progress["drive"].done
    assert bob.sequence("drive").labels.release([first.object_id]) == []
    assert ann.sequence("drive").labels.release() == [first.object_id]
    assert bob.next_items(["drive"])[0][0].object_id == first.object_id
    for wrong in ({"iou": 0.3}, {"count": 1001}, {"lease_s": 901.0}, {"lease_s": float("nan")}):
        with pytest.raises(RequestError):
            ann.next_items(["drive"], **wrong)  # type: ignore[arg-type]
    with pytest.raises(RequestError):
        ann.next_items([])


def test_a_state_is_a_base_as_well(labels: RemoteLabels) -> None:
    assert labels.commit([pose(1, 4)], base=LabelsState("auto", 0)).saved
    with pytest.raises(UsageError):
        labels.commit([pose(1, 4)], base=LabelsState("auto", 9))
