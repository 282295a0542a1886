"""What differs, what is behind a box, and who did something to it: the engine says what the library says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from client.conftest import Connect
from client.test_labels import pose
from fleetlabel.client import RemoteLabels, RequestError
from fleetlabel.labels import Edit, diff, explain, snapshot_of
from fleetlabel.labels import edits as e
from fleetlabel.model.errors import EditError, StoreNotFoundError, UsageError
from fleetlabel.store import SequenceStore
from labels.scenes import FRAMES, NAMES, cuboids, open_labels


def drawn(object_id: int, frame: int, camera: str) -> e.SetKeyframe2D:
    return e.SetKeyframe2D(object_id=object_id, frame=frame, camera=camera, xyxy_px=(1.0, 2.0, 30.0, 40.0))


def plain(document: Any) -> Any:
    """With numbers as JSON's are: without a difference between 1 and 1.0."""
    return json.loads(json.dumps(document), parse_int=float)


def test_differences_are_those_that_the_library_finds(
    connect: Connect, labels: RemoteLabels, store: SequenceStore
) -> None:
    before = labels.now()
    made = labels.commit(
        [
            pose(1, 4),
            e.DeleteObject(object_id=2),
            e.CreateObject(object_id=9, class_name="car"),
            pose(9, 3),
            drawn(4, 5, "front"),
        ],
        base=before,
    )
    connect("rev", "reviewer").sequence("drive").labels.save_version("reviewed")
    labels.commit([pose(1, 6), e.SetClass(object_id=5, class_name="pedestrian")], base=labels.now())
    local = open_labels(store.root)
    for one, two in (
        ("0", "now"),
        ("0", "1"),
        ("1", "2"),
        ("auto", "reviewed"),
        ("now", "0"),
        ("1", "reviewed"),
    ):
        remote = [
            labels.now() if m == "now" else labels.at(int(m) if m.isdecimal() else m) for m in (one, two)
        ]
        assert list(labels.diff(*remote)) == diff(snapshot_of(local, one), snapshot_of(local, two))
    changes = {each.object_id: each.change for each in labels.diff(before, labels.at(1))}
    assert changes == {1: "changed", 2: "removed", 4: "changed", made.new_ids[0][1]: "added"}


def test_labels_on_two_base_versions_are_not_compared(
    connect: Connect, labels: RemoteLabels, store: SequenceStore
) -> None:
    labels.commit([pose(1, 4)], base=labels.now())
    before = labels.now()
    store.write_labels("newer", {}, cuboids(), class_names=NAMES, provenance={"made": "again"})
    with pytest.raises(UsageError, match="base version"):
        list(labels.diff(before, labels.at("newer")))


def test_what_is_behind_a_box_is_what_the_library_says(labels: RemoteLabels, store: SequenceStore) -> None:
    labels.commit([pose(1, 4), drawn(2, 5, "front")], base=labels.now(), reason="too far left")
    labels.commit([pose(1, 12, x=9.0)], base=labels.now())
    labels.undo()
    local = open_labels(store.root)
    for box in ((1, 4, ""), (1, 7, ""), (2, 5, "front"), (4, 5, ""), (4, 5, "front")):
        found = labels.why(*box)
        assert plain(found.to_json()) == plain(explain(local, *box).to_json())
    assert [record.reason for record in labels.why(1, 4).records] == ["too far left"]
    assert labels.why(1, 4).keyframes == (4,) and labels.why(1, 7).box["source"] != "human"


def test_a_box_that_is_not_there_has_no_reason(labels: RemoteLabels) -> None:
    for box in ((99, 4, ""), (1, FRAMES + 1, ""), (1, 4, "roof")):
        with pytest.raises((StoreNotFoundError, EditError), match=str(box[0])):
            labels.why(*box)


# What is said of object 1, and the boxes (frame, camera) that it concerns of these: (3, ""), (3, front), (8, ""),
# (8, front), (8, rear).
_BOXES = ((3, ""), (3, "front"), (8, ""), (8, "front"), (8, "rear"))
_SAID: list[tuple[Edit, set[tuple[int, str]]]] = [
    (pose(1, 3), {(3, ""), (3, "front")}),
    (drawn(1, 8, "front"), {(8, "front")}),
    (e.Escalate(object_id=1, text="odd", frame=8), {(8, ""), (8, "front"), (8, "rear")}),
    (e.Escalate(object_id=1, text="all odd"), set(_BOXES)),
    (e.Accept(object_id=1, start=0, stop=8), {(3, ""), (3, "front")}),
    (e.SetFlags(object_id=1, start=5, camera="rear", ignore=True), {(8, "rear")}),
    (e.SetClass(object_id=1, class_name="pedestrian"), set(_BOXES)),
    (e.TrimEnd(object_id=1, frame=15), set(_BOXES)),
    (e.SwapIdentities(object_id=1, frame=5, other_id=2), {(8, ""), (8, "front"), (8, "rear")}),
    (pose(2, 3), set()),
]


def test_the_history_of_a_box_is_what_was_said_of_it(labels: RemoteLabels) -> None:
    for edit, _ in _SAID:
        assert labels.commit([edit], base=labels.now()).saved
    for frame, camera in _BOXES:
        expected = [number for number, (_, boxes) in enumerate(_SAID, 1) if (frame, camera) in boxes]
        found = labels.history(object_id=1, frame=frame, camera=camera)
        assert [entry.record.sequence for entry in found] == expected, (frame, camera)
    at_3 = [entry.record.sequence for entry in labels.history(frame=3)]
    assert at_3 == [1, 4, 5, 7, 8, 10]  # of any object, in any view
    assert [entry.record.sequence for entry in labels.history(after=4, object_id=1, frame=3)] == [5, 7, 8]
    with pytest.raises(RequestError, match="frame"):
        list(labels.history(frame=-1))
