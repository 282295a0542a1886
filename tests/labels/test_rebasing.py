"""People's edits on another run's labels: objects are found again where they are, what does not fit is told."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlabel.labels import Labels
from fleetlabel.labels import edits as e
from fleetlabel.labels.objects import FIRST_BORN_ID
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.model.errors import EditError, UsageError
from labels.scenes import NAMES, cuboids, open_labels, pictures


def better_run(labels: Labels, change: object = None) -> str:
    """Labels of another run: the same cars, a little elsewhere, under other ids (1..5 are 11..15)."""
    solid = cuboids(seed=1)
    solid = solid.replace(track_id=solid.track_id + 10)
    if change is not None:
        solid = change(solid)  # type: ignore[operator]
    labels.store.write_labels("better", pictures(solid), solid, class_names=NAMES, provenance={})
    return "better"


def move(object_id: int, frame: int = 5, lane: int = 0, off_m: float = 0.2) -> e.SetKeyframe3D:
    center = (10.0 + lane + 0.5 * frame + off_m, 4.0 * lane - 8.0, 0.8)
    return e.SetKeyframe3D(object_id=object_id, frame=frame, center_m=center, yaw_rad=0.0)


def without(*tracks: int) -> object:
    return lambda solid: solid.take(~np.isin(solid.track_id, tracks))


def joined(a: int, b: int) -> object:
    def change(solid: Boxes3D) -> Boxes3D:
        return solid.replace(track_id=np.where(solid.track_id == b, a, solid.track_id))

    return change


def test_keyframes_and_the_rest_go_along(labels: Labels) -> None:
    flags = e.SetFlags(object_id=1, occlusion=2, start=2, stop=4)
    labels.commit([move(1), flags, e.DeleteObject(object_id=4)], author="ann")
    carried = labels.rebase_onto(better_run(labels), author="ann", reason="new model")
    assert (carried.new_ids, carried.misfits) == ({1: 11}, ())
    assert labels.now.object_ids.tolist() == [11, 12, 13, 15]
    boxes = labels.now.boxes(11)
    assert boxes.cuboids.center_m[5].tolist() == list(move(1).center_m)
    assert boxes.cuboids.occlusion[2:4].tolist() == [2, 2]
    again = open_labels(labels.store.root)
    assert (again.base.name, again.now.state) == ("better", labels.now.state)
    assert again.at(1).base.name == "auto" and list(again.at(1)[1].poses) == [5]


def test_work_goes_on_after_it(labels: Labels) -> None:
    labels.commit([move(1)], author="ann")
    other = open_labels(labels.store.root)
    labels.rebase_onto(better_run(labels), author="ann")
    conflict = other.commit([move(2, lane=1)], author="bob", base=1).conflicts
    assert [(c.object_id, c.sequence) for c in conflict] == [(None, 2)]
    assert labels.undo("ann") is None  # what was carried over stays
    with pytest.raises(EditError, match="cannot be taken back"):
        labels.revert(1, author="bob")
    labels.commit([move(12, lane=1)], author="ann")
    assert labels.undo("ann") is not None
    assert list(labels.now.state.objects) == [11]


def test_a_new_run_that_joined_what_people_joined_is_one_object(labels: Labels) -> None:
    labels.commit([e.Split(object_id=1, frame=10, new_id=labels.new_id())], author="ann")
    half = max(labels.now.state.objects)
    carried = labels.rebase_onto(better_run(labels), author="ann")
    assert carried.new_ids == {1: 11, half: half}
    assert labels.now.boxes(11).cuboids.frame.tolist() == list(range(10))
    assert labels.now.boxes(half).cuboids.frame.tolist() == list(range(10, 20))


def test_a_merge_takes_both_tracks_of_the_new_run(labels: Labels) -> None:
    labels.commit([e.Split(object_id=1, frame=10, new_id=labels.new_id())], author="ann")
    half = max(labels.now.state.objects)
    labels.commit([e.Merge(object_id=half, other_id=1)], author="ann")
    carried = labels.rebase_onto(better_run(labels), author="ann")
    assert carried.new_ids == {half: half}
    assert len(labels.now.boxes(half).cuboids) == 20
    assert 11 not in labels.now.object_ids


def test_what_the_new_run_has_not_is_told(labels: Labels) -> None:
    labels.commit([move(1), e.SetClass(object_id=5, class_name="car")], author="ann")
    carried = labels.rebase_onto(better_run(labels, without(11, 15)), author="ann")
    assert {m.object_id: m.new_id is None for m in carried.misfits} == {1: False, 5: True}
    kept = carried.new_ids[1]
    assert kept > FIRST_BORN_ID
    boxes = labels.now.boxes(kept).cuboids
    assert (boxes.frame.tolist(), boxes.class_labels().tolist()) == ([5], ["car"])


def test_keyframes_and_absences_that_the_new_run_contradicts_are_told_and_kept(labels: Labels) -> None:
    labels.commit(
        [move(1, off_m=3.0), e.SetAbsent(object_id=5, start=4, stop=6), e.Accept(object_id=1)], author="ann"
    )
    carried = labels.rebase_onto(better_run(labels), author="ann")
    assert [(m.object_id, m.frames) for m in carried.misfits if "cuboid" in m.problem] == [
        (1, (5,)),
        (5, (4, 5)),
    ]
    assert labels.now.boxes(11).cuboids.center_m[5].tolist() == list(move(1, off_m=3.0).center_m)
    assert labels.now[11].accepted.at(5) is None  # accepted there was another box
    assert 4 not in labels.now.boxes(15).cuboids.frame


def test_going_over_needs_edits_and_another_version(labels: Labels) -> None:
    name = better_run(labels)
    with pytest.raises(UsageError, match="nobody has edited"):
        labels.rebase_onto(name, author="ann")
    labels.commit([move(1)], author="ann")
    with pytest.raises(UsageError, match="on 'auto' already"):
        labels.rebase_onto("auto", author="ann")
