"""Label versions of people's edits: the same bytes from anyone, readable for ever, told apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from fleetlabel.labels import Labels, diff, explain, objects_of, save_version, snapshot_of
from fleetlabel.labels import edits as e
from fleetlabel.labels.edit_bases import Edit
from fleetlabel.model.errors import EditError, StoreExistsError, UsageError
from fleetlabel.store import SequenceStore, describe, verify
from labels.random_edits import SEQUENCES
from labels.scenes import CAMERAS, copied_store, open_labels


def move(object_id: int = 1, frame: int = 5) -> e.SetKeyframe3D:
    return e.SetKeyframe3D(
        object_id=object_id, frame=frame, center_m=(12.0, -8.0, 0.8), yaw_rad=0.1, size_lwh_m=(4.5, 1.9, 1.5)
    )


def some_edits(labels: Labels) -> None:
    """Edits of every sort, by two people."""
    labels.commit([move(), e.SetClass(object_id=1, class_name="bus")], author="ann")
    labels.commit([e.Merge(object_id=2, other_id=3)], author="bob")
    labels.commit([e.DeleteObject(object_id=4)], author="ann")
    new_id = labels.new_id()
    create = e.CreateObject(object_id=new_id, class_name="truck")
    labels.commit([create, move(new_id), move(new_id, 9)], author="ann")
    labels.commit([e.SetAttribute(object_id=5, name="hat", value="red", start=3)], author="bob")


def assert_same_boxes(store: SequenceStore, version: str, labels: Labels) -> None:
    """The version's boxes are those of the labels, row by row but for their order within a frame."""
    for camera in ("", *CAMERAS):
        found = store.labels2d(version, camera) if camera else store.labels3d(version)
        shown = labels.now.boxes2d(camera) if camera else labels.now.boxes3d()
        assert found.class_labels().tolist() == shown.class_labels().tolist()
        for name in set(found.column_names()) - {"class_id"}:
            np.testing.assert_array_equal(getattr(found, name), getattr(shown, name), err_msg=name)


def test_a_version_holds_what_was_shown_and_what_was_said(labels: Labels) -> None:
    some_edits(labels)
    version = save_version(labels, "done")
    store = SequenceStore.open(labels.store.root)
    assert (version.base, version.class_names) == ("auto", ("car", "pedestrian", "truck", "bus"))
    assert_same_boxes(store, "done", labels)
    assert objects_of(store, "done") == labels.now.state.objects
    assert store.latest_labels().name == "done"
    assert verify(store) == []


def test_a_version_of_no_edits_is_its_base(labels: Labels) -> None:
    version = save_version(labels)
    assert_same_boxes(labels.store, version.name, labels)
    assert objects_of(labels.store, version.name) == {}
    assert verify(labels.store) == []


def test_parts_of_a_version_are_read_alone(labels: Labels) -> None:
    some_edits(labels)
    save_version(labels, "done")
    for camera in ("", *CAMERAS):
        read = (
            labels.store.labels3d
            if not camera
            else lambda *a, c=camera: labels.store.labels2d(a[0], c, *a[1:])
        )
        whole = read("done")
        for start, stop in [(0, 1), (4, 9), (19, 20)]:
            some = read("done", start, stop)
            expected = whole.take((whole.frame >= start) & (whole.frame < stop))
            for name in some.column_names():
                np.testing.assert_array_equal(getattr(some, name), getattr(expected, name))


@settings(max_examples=5)
@given(SEQUENCES)
def test_replay_gives_the_stored_version_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, sequence: list[Edit]
) -> None:
    """One store saves as it goes; a copy that has only the journal replays it."""
    folder: Path = tmp_path_factory.mktemp("replay")
    store = copied_store(folder / "a.zarr")
    labels = open_labels(store.root)
    for edit in sequence:
        try:
            labels.commit([edit], author="ann")
            labels.now.boxes3d()
        except EditError:
            continue
    shutil.copytree(store.root, folder / "b.zarr")
    saved = save_version(labels)
    again = open_labels(folder / "b.zarr")
    assert save_version(again).name == saved.name
    first, second = (describe(SequenceStore.open(folder / name)) for name in ("a.zarr", "b.zarr"))
    assert [t.content_hash for t in first.tables] == [t.content_hash for t in second.tables]
    assert_same_boxes(again.store, saved.name, labels)
    for file in (folder / "a.zarr" / "labels" / saved.name).rglob("*"):
        if file.is_file() and file.name != "zarr.json":
            assert file.read_bytes() == Path(str(file).replace("a.zarr", "b.zarr")).read_bytes()


def test_versions_of_earlier_moments_can_be_saved_later(labels: Labels) -> None:
    labels.commit([move()], author="ann")
    first = save_version(labels)
    labels.commit([move(frame=9)], author="ann")
    assert save_version(labels, sequence=1).name == first.name
    second = save_version(labels)
    assert second.name != first.name
    with pytest.raises(StoreExistsError):
        save_version(labels, first.name)
    undone = labels.undo("ann")
    assert undone is not None
    # The same labels are the same content, wherever in the journal they stood.
    assert objects_of(labels.store, first.name) == labels.now.state.objects


def test_the_base_of_edits_is_no_version_of_edits(labels: Labels) -> None:
    labels.commit([move()], author="ann")
    version = save_version(labels)
    with pytest.raises(UsageError, match="are people's edits of 'auto'"):
        labels.rebase_onto(version.name, author="ann")
    assert open_labels(labels.store.root).base.name == "auto"


# --- told apart -----------------------------------------------------------------------------------------------------


def test_what_differs_between_two_moments(labels: Labels) -> None:
    some_edits(labels)
    save_version(labels, "done")
    found = {d.object_id: d for d in diff(labels.at(0), labels.now)}
    born = max(found)
    assert {i: d.change for i, d in found.items()} == {
        **dict.fromkeys((1, 2, 5), "changed"),
        **dict.fromkeys((3, 4), "removed"),
        born: "added",
    }
    assert found[1].said == ("poses", "size_lwh_m", "classes")
    assert found[1].boxes[""] == (0, 0, 20)
    assert found[4].boxes[""] == (0, 20, 0)
    assert found[born].boxes[""] == (5, 0, 0)
    assert (found[5].said, found[5].boxes) == (("attributes",), {})
    assert diff(labels.now, labels.now) == diff(snapshot_of(labels, "done"), labels.now) == []
    assert [d.object_id for d in diff(snapshot_of(labels, "1"), snapshot_of(labels, "2"))] == [2, 3]
    assert len(diff(snapshot_of(labels, "auto"), snapshot_of(labels, "now"))) == len(found)


def test_why_a_box_is_where_it_is(labels: Labels) -> None:
    labels.commit([move()], author="ann", reason="off the road")
    labels.commit([e.SetFlags(object_id=1, occlusion=2, start=3, stop=6)], author="bob")
    labels.undo("bob")
    reason = explain(labels, 1, 5)
    assert (reason.box["source"], reason.box["center_m"]) == ("human", [12.0, -8.0, 0.8])
    assert [(r.author, r.reason) for r in reason.records] == [("ann", "off the road")]
    assert (reason.keyframes, reason.solver) == ((5,), labels.solver.version)
    assert reason.detection is not None and reason.detection["center_m"] != reason.box["center_m"]
    picture = explain(labels, 1, 5, "front")
    assert picture.box["source"] == "detector" and picture.solver is None
    untouched = explain(labels, 4, 5)
    assert (untouched.records, untouched.solver, untouched.keyframes) == ((), None, ())
    with pytest.raises(EditError, match="object 2 has no cuboid at frame 15; it has them from frame 0 to 7"):
        explain(labels, 2, 15)
    with pytest.raises(EditError, match="no object 77"):
        explain(labels, 77, 0)


def test_reasons_and_differences_are_plain_json(labels: Labels) -> None:
    some_edits(labels)
    json.dumps([d.to_json() for d in diff(labels.at(0), labels.now)], allow_nan=False)
    for camera in ("", "front"):
        json.dumps(explain(labels, 1, 5, camera).to_json(), allow_nan=False)
